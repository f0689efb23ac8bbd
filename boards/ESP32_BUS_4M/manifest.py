# The application is not frozen: it lives in the slots app_a and app_b, so that it can be replaced.
include("$(PORT_DIR)/boards/manifest.py")
