# `make demo` and `make test` need nothing before them but Python 3.11, 3.12 or 3.13.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
BUNDLES := $(wildcard bundles/*)
RUN := $(BIN)/python -m monai.bundle run --bundle_root bundles/echo_segmentation
CONFIGS := bundles/echo_segmentation/configs
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder
# the size of the demo
EPOCHS := 36
PATIENTS := 60
SIZE := 128
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := true

.PHONY: demo test test-fast check-robust mutation lint bundles ui clean

demo: $(VENV)/installed
	$(BIN)/python -m common.datasets phantom data/demo --size $(SIZE) --patients $(PATIENTS)
	$(RUN) --config_file $(CONFIGS)/train.yaml --data data/demo --image_size $(SIZE) --epochs $(EPOCHS) --run_name demo
	$(RUN) --config_file $(CONFIGS)/evaluate.yaml --data data/demo --run_name demo
	@echo "Learning curves and overlays: runs/echo_segmentation/demo. The run in MLflow: make ui"

test: $(VENV)/installed-dev lint
	$(PYTEST) -m "not robust"

test-fast: $(VENV)/installed-dev
	$(PYTEST) -m "not slow and not robust"

# before a release; ROBUST="-k WORD" runs a sample
check-robust: $(VENV)/installed-dev
	$(PYTEST) -m robust $(ROBUST)

# which fraction of small changes of losses, label sets and metrics the tests detect: docs/mutation.md
mutation: $(VENV)/installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements-mutation.txt
	$(BIN)/python -m benchmarks.mutation

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m common.bundle check $(BUNDLES)

bundles: $(VENV)/installed
	$(BIN)/python -m common.bundle complete $(BUNDLES)

ui: $(VENV)/installed
	$(BIN)/python -m common.tracking table
	$(BIN)/mlflow ui --backend-store-uri $${MLFLOW_TRACKING_URI:-sqlite:///runs/mlflow.db}

clean:
	rm -rf data/demo runs

$(VENV)/installed: requirements.txt
	$(PYTHON) -c "import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13) and 'Python 3.11, 3.12 or 3.13 is needed, this is ' + sys.version)"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.txt
	touch $@

$(VENV)/installed-dev: requirements-dev.txt $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements-dev.txt
	touch $@
