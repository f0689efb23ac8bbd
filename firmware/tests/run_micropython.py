"""Run one firmware test module under MicroPython: `micropython run_micropython.py test_x`.

Every function named test_* is called in the order of the module's file. The last line is
`N passed, M failed`.
"""

import gc
import sys

sys.path.insert(0, "..")
sys.path.insert(0, ".")


def main(name):
    module = __import__(name)
    passed = failed = 0
    for key in sorted(k for k in dir(module) if k.startswith("test_")):
        gc.collect()
        try:
            getattr(module, key)()
            passed += 1
        except Exception as e:
            failed += 1
            print("FAIL", name, key)
            sys.print_exception(e)
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed or not passed else 0


sys.exit(main(sys.argv[1]))
