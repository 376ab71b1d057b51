PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test promises fuzz lint lock wheel clean

demo: $(READY)  ## the main job on real data, without Docker: three hospitals train one model
	$(BIN)/python notebooks/breast_cancer_sites.py data/breast-cancer
	$(BIN)/federator run compose/breast-cancer

# SEED=7: in another order, the same again for the same number.
test: lint  ## everything; container and browser tests run where an engine and a Chromium are
	$(BIN)/pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder \
		$(if $(SEED),--random-order --random-order-seed=$(SEED))

promises: $(READY)  ## the test behind each promise of the threat model; none may be skipped
	$(BIN)/python tests/promises.py

fuzz: $(READY)  ## 5,000 random changes to each thing that others write
	FEDERATOR_FUZZ=5000 $(BIN)/pytest --numprocesses 2 tests/fuzz

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

lock: $(READY)  ## what the workflows install, by hash: after a change of constraints.txt
	$(BIN)/python tests/lock.py

wheel: $(READY)  ## the package as a wheel, in dist/
	$(BIN)/python -m build --wheel

# torch first and alone: what comes after it then keeps the build that is there.
$(READY): setup.cfg constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[author,torch,dev]"
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
