# Every target is a short line over commands that README.md and docs/install.md give to type by hand.
STACK  ?= onedl
PYTHON ?= python3
VENV   := $(if $(filter onedl,$(STACK)),.venv,.venv-$(STACK))
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
# what the page docs/browser.md runs networks with; tests of it are slow
RUNTIME := docs/site/node_modules/.package-lock.json
# what the tests of deployment need besides; on the classic stack they skip, with the reason
CONVERTERS := $(if $(filter onedl,$(STACK)),$(VENV)/.converters)
# glibc then keeps freed memory: a third less time in the system for tests that build many networks
KEEP_MEMORY := MALLOC_TRIM_THRESHOLD_=1073741824 MALLOC_MMAP_THRESHOLD_=1073741824

.PHONY: setup check test test-all faults demo docs wheel bench gpu clean

setup: $(STAMP)

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: $(STAMP) $(CONVERTERS)
	$(KEEP_MEMORY) $(BIN)/python -m pytest -n auto --dist loadfile -m "not slow"

test-all: $(STAMP) $(CONVERTERS) $(if $(shell command -v npm),$(RUNTIME))
	$(KEEP_MEMORY) $(BIN)/python -m pytest -n auto --dist loadfile

faults: $(STAMP) $(CONVERTERS)
	$(BIN)/python -m pytest -n auto faults --all-faults

demo: $(STAMP)
	$(BIN)/bisenet demo $(if $(PHOTO),--photo "$(PHOTO)")

docs: $(STAMP) $(RUNTIME)
	$(BIN)/python -m sphinx -W --keep-going -c docs . build/site -d build/doctrees

wheel: $(STAMP)
	$(BIN)/pip wheel --no-deps -w dist .

# on a machine that does nothing else; "python -m benchmarks.suite --list" prints its commands
bench: $(STAMP) $(CONVERTERS)
	$(BIN)/python -m benchmarks.suite $(RESULTS)

gpu: $(STAMP) $(CONVERTERS)
	$(BIN)/python -m pytest tests/test_gpu.py tests/test_fast_mask.py tests/runtime/backends/test_tensorrt.py
	$(BIN)/python -m benchmarks.gpu --seconds 20 --out benchmarks/results/gpu.json

clean:
	rm -rf .venv .venv-openmmlab build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .import_linter_cache

$(VENV)/.converters: $(STAMP)
	$(BIN)/pip install -c constraints.txt -e ".[deploy,int8,tensorrt-rtx]"
	$(BIN)/pip install -c constraints.txt --no-deps mmdeploy==1.3.1
	touch $@

$(RUNTIME): docs/site/package-lock.json
	npm --prefix docs/site ci --ignore-scripts --no-audit --no-fund

ifeq ($(STACK),openmmlab)
$(STAMP): setup.cfg constraints.txt
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -c constraints.txt torch "setuptools<81" wheel ninja psutil
	CFLAGS="-g0 $(CFLAGS)" $(BIN)/pip install -c constraints.txt --no-build-isolation mmcv==2.1.0
	$(BIN)/pip install -c constraints.txt -e ".[openmmlab,dev,docs,imagenet,png]"
	touch $@
else
$(STAMP): setup.cfg constraints.txt
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -c constraints.txt -e ".[$(STACK),dev,docs,imagenet,png]"
	touch $@
endif
