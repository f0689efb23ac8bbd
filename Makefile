# make demo: the main job on a virtual validator.   make test: every check and test.
# make hil: the tests on a rack; RACK=rack.toml names another one than the virtual.
PYTHON ?= python3
VENV := .venv
RACK ?= virtual
SOAK ?= 10000
BIN := $(VENV)/bin
STUBS := $(VENV)/typings

.PHONY: demo test lint types unit soak hil setup clean

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml Makefile
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Faretap needs Python 3.11 or later; set PYTHON=python3.12 or the like."; exit 1; }
	@echo "setting up $(VENV) (once)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade \
		--target $(STUBS) micropython-esp32-stubs micropython-stdlib-stubs
	@# Drivers that prove our simulated chips. Without what they need on a real board, which would
	@# have to be compiled: the tests stand in for pins and buses.
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
		'adafruit-circuitpython-pn532>=2.4.9' adafruit-circuitpython-busdevice 'pi-rc522>=2.3.0'
	@touch $@

demo: setup
	@$(BIN)/faretap demo

test: setup lint types unit

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy
	$(BIN)/mypy --config-file firmware/mypy.ini

unit: setup
	$(BIN)/pytest -n 2 --dist worksteal

# The long sweeps: attackers with purses, 10,000 seeds each (half an hour on two cores).
soak: setup
	FARETAP_SOAK=$(SOAK) $(BIN)/pytest host_tools/tests/purse/test_attackers.py -n 2

hil: setup
	$(BIN)/pytest hil_tests --rack $(RACK) -n 2

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
