# make run     start a chat server on this machine, with nothing configured
# make setup   everything for working on D-Chat, in .venv (can be repeated at will)
# make test    all tests          make check   format, lint, types, import arrows
# make stack-test   the deployment (Dockerfile, compose, Terraform, alarms), checked with the real tools; STRICT=1
# make bench   the benchmarks, beside others        make screenshots   README's pictures anew, into docs/images
#
# Flags for the server go in ARGS:  make run ARGS="--port 5001"; those for pytest too:  make test ARGS="-k hub"

PYTHON ?= python3
VENV   ?= .venv
STACK  ?= .venv-stack
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Tests mostly wait for servers: three processes keep two cores busy, and more only wait for each other.
JOBS   ?= 3
CODE   := dchat_server dchat_client tests benchmarks

.PHONY: help setup run test check stack-test format bench screenshots clean

help:
	@sed -n '/^$$/q; s/^# \{0,1\}//p' Makefile

setup: $(VENV)/.dev

run: $(VENV)/.run
	@exec $(BIN)/dchat-server $(ARGS)

test: $(VENV)/.dev
	@$(compile)
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(ARGS)

check: $(VENV)/.dev
	$(BIN)/ruff format --check $(wildcard $(CODE))
	$(BIN)/ruff check $(wildcard $(CODE))
	$(BIN)/mypy
	$(BIN)/lint-imports

stack-test: $(STACK)/.tools
	@$(STACK)/bin/python -m tests.stack $(if $(STRICT),--strict) $(ARGS)

format: $(VENV)/.dev
	$(BIN)/ruff format $(wildcard $(CODE))
	$(BIN)/ruff check --fix $(wildcard $(CODE))

bench: $(VENV)/.dev
	@$(compile)
	$(BIN)/python -m benchmarks $(ARGS)

screenshots: $(VENV)/.dev
	$(BIN)/python -m tests.screenshots $(ARGS)

clean:
	rm -rf $(VENV) $(STACK) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

# uv installs in seconds what takes pip minutes. Where it cannot, as with an index that only pip has been told of, pip
# does, and says what is wrong. Compiled here, as pip does by itself: where Python may not keep what it compiles
# (PYTHONDONTWRITEBYTECODE), each start would else do all of it again, and take twice as long.
EVERYDAY := client,server,window
WORKSHOP := $(EVERYDAY),dev
install = { $(PIP) install 'uv>=0.9,<1' \
  && $(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -e '.[$(1)]'; } 2>/dev/null \
  || $(PIP) install -e '.[$(1)]'

# Tests and benchmarks start the programs hundreds of times, and the first of them all at once.
compile = $(BIN)/python -m compileall -q dchat_server dchat_client

# The stamps follow setup.cfg: what is installed is renewed when the requirements change, and only then.
$(VENV)/.run: setup.cfg pyproject.toml | $(BIN)/python
	@echo "Installing D-Chat into $(VENV) (only the first time) …"
	@$(call install,$(EVERYDAY))
	@touch $@

$(VENV)/.dev: setup.cfg pyproject.toml | $(BIN)/python
	@echo "Installing D-Chat and its development tools into $(VENV) …"
	@$(call install,$(WORKSHOP))
	@touch $(VENV)/.run $@

# uv installs checkov's hundred packages in seconds; pip takes a minute.
$(STACK)/.tools: tests/stack/requirements.txt | $(STACK)/bin/python
	@echo "Installing the tools that check the deployment into $(STACK) …"
	@$(STACK)/bin/python -m pip --disable-pip-version-check --quiet install 'uv>=0.9,<1'
	@$(STACK)/bin/uv pip install --quiet --python $(STACK)/bin/python -r $<
	@touch $@

$(BIN)/python $(STACK)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "D-Chat needs Python 3.11 or newer, and '$(PYTHON)' is not. Name one: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "'$(PYTHON)' cannot create virtual environments. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@$(PYTHON) -m venv $(@:/bin/python=)
