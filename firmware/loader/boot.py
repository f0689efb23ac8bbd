# Runs at every start, before main.py. A Ctrl-C on the line must not stop a validator.
import micropython

micropython.kbd_intr(-1)
