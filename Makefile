# `make` or `make help` lists the targets.
PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
LOCK   := $(if $(CUDA),requirements-cuda.lock,requirements.lock)
STAMP  := $(VENV)/.installed-$(if $(CUDA),cuda,cpu)
UV_VERSION := 0.13.8
ARGS   ?=
# with a worker that dies, what is left of the run ends and says so: xdist, restarting it twice, waits for ever
PARALLEL := --dist loadfile --no-loadscope-reorder --max-worker-restart 0
# with it, each of the processes that tests start would compile this project and rewrite its tests' assertions anew
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup run test long cluster-test cluster-faults compose quick lint check wheel lock clean benchmarks examples pictures

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 8

setup: $(STAMP)  ## create .venv and install the locked environment (CUDA=1 for GPUs)

run: $(STAMP)  ## set up, then search on the generated toy city for ten minutes (ARGS="--space all ..." to change it)
	$(PY) -m tuning.run $(or $(ARGS),--space mobilenet --trials 12 --time 10m)

test: $(STAMP)  ## set up, then run the tests
	$(PY) -m pytest -n 3 $(PARALLEL) -m "not long"

long: $(STAMP)  ## kill searches and servers again and again, and other runs of minutes, which `make test` leaves out
	$(PY) -m pytest -m long -o faulthandler_timeout=1900

cluster-test: $(STAMP)  ## searches and serving on three Ray nodes in namespaces of their own, without a shared disk (takes root)
	$(PY) -m pytest tests/cluster --ignore tests/cluster/test_cluster_faults.py -s -o timeout=1800 -o faulthandler_timeout=1900

cluster-faults: $(STAMP)  ## random faults on such a cluster (FAULTS=40: half an hour)
	FAULTS=$(or $(FAULTS),40) $(PY) -m pytest tests/cluster/test_cluster_faults.py -s -o timeout=7200 -o faulthandler_timeout=7200

quick: $(STAMP)  ## set up, then run the tests that need less than two minutes in all
	$(PY) -m pytest -n 2 $(PARALLEL) -m "not slow and not long"

compose:  ## start a cluster on this machine with Docker: Ray, PostgreSQL, S3, MLflow, Prometheus, Grafana (infra/README.md)
	$(PYTHON) infra/make_secrets.py compose
	docker compose -f infra/docker/compose.yaml up --build --detach

lint: $(STAMP)  ## ruff and mypy
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

check: lint quick  ## lint, then the quick tests: what to run before a commit

wheel: $(STAMP)  ## build the source distribution and the wheel into dist/
	rm -rf build dist *.egg-info
	$(VENV)/bin/uv build --quiet --no-build-isolation --python $(PY)
	@ls dist/*

lock: | $(VENV)/bin/uv  ## resolve pyproject.toml anew into the two locks and the two lists for pip
	echo "$(CPU_TENSORFLOW)" | $(COMPILE) $(LOCKED) --override - --extra cpu -o requirements.lock
	echo "$(CUDA_TENSORFLOW)" | $(COMPILE) $(LOCKED) --override - --extra cuda --constraint requirements.lock \
	    -o requirements-cuda.lock
	echo "$(CPU_TENSORFLOW)" | $(COMPILE) --override - --extra cpu --constraint requirements.lock \
	    -o detector_tuning/requirements-cpu.txt
	echo "$(CUDA_TENSORFLOW)" | $(COMPILE) --override - --extra cuda --constraint requirements-cuda.lock \
	    -o detector_tuning/requirements-cuda.txt
# overrides whatever release of TensorFlow tf-models-official or tf-keras asks for
CPU_TENSORFLOW  := tensorflow==2.21.0; sys_platform != 'linux' or platform_machine != 'x86_64'
CUDA_TENSORFLOW := tensorflow[and-cuda]==2.21.0
COMPILE := $(VENV)/bin/uv pip compile pyproject.toml --universal --python-version 3.11 --extra int8 --extra onnx \
    --no-emit-index-url --no-emit-find-links --no-header --no-annotate --quiet
LOCKED  := --extra dev --generate-hashes

benchmarks: $(STAMP)  ## each benchmark in a short form: half an hour, one table (docs/benchmarks.md has the full runs)
	$(PY) tests/benchmarks/all.py

examples: $(STAMP)  ## run the notebooks of examples/ and keep their outputs
	$(PY) examples/run.py --save

pictures: $(STAMP)  ## make the pictures of README and docs anew (needs Chromium)
	$(PY) docs/make_pictures.py

clean:  ## remove .venv and what the tools leave behind (studies stay)
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache

$(VENV)/bin/uv:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else \
	    "$(PYTHON) is CPython %d.%d; this project needs 3.11, 3.12 or 3.13: make PYTHON=python3.12 ..." % v)'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

# compiled once here: with PYTHONDONTWRITEBYTECODE set, each process would spend ten seconds on compiling TensorFlow
$(STAMP): $(LOCK) | $(VENV)/bin/uv
	$(VENV)/bin/uv pip sync --python $(PY) --require-hashes --build-constraints $(LOCK) --compile-bytecode $(LOCK)
	@rm -f $(VENV)/.installed-*
	@touch $@
