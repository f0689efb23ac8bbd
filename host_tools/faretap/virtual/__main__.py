"""`python -m faretap.virtual --state FOLDER --listen HOST:PORT`"""

import sys

from .process import main

sys.exit(main())
