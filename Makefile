PYTHON ?= python3
VENV   ?= .venv
RUN     = $(VENV)/bin/python -m

.PHONY: demo test test-long bench lint clean

demo: $(VENV)/installed  ## the whole pipeline on scikit-learn's digits
	$(RUN) tuner run --task digits --study demo

test: $(VENV)/installed  ## what must always pass
	$(RUN) ruff check .
	$(RUN) pytest --numprocesses 2

test-long: $(VENV)/installed  ## what takes minutes
	$(RUN) pytest -m long

bench: $(VENV)/installed  ## against the peers, side by side
	$(RUN) tests.benchmarks

$(VENV)/installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(RUN) pip install --quiet --disable-pip-version-check --editable ".[test]"
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info tune-runs
