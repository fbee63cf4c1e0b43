# Every target is a short line over commands that README.md and docs/install.md give to type by hand.
STACK  ?= onedl
PYTHON ?= python3
VENV   := $(if $(filter onedl,$(STACK)),.venv,.venv-$(STACK))
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
# what the tests of deployment need besides; on the classic stack they skip, with the reason
CONVERTERS := $(if $(filter onedl,$(STACK)),$(VENV)/.converters)

.PHONY: setup check test demo clean

setup: $(STAMP)

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: $(STAMP) $(CONVERTERS)
	$(BIN)/python -m pytest -n auto

demo: $(STAMP)
	$(BIN)/bisenet demo $(if $(PHOTO),--photo "$(PHOTO)")

clean:
	rm -rf .venv .venv-openmmlab build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .import_linter_cache

$(VENV)/.converters: $(STAMP)
	$(BIN)/pip install -c constraints.txt -e ".[deploy,int8,tensorrt-rtx]"
	$(BIN)/pip install -c constraints.txt --no-deps mmdeploy==1.3.1
	touch $@

ifeq ($(STACK),openmmlab)
$(STAMP): setup.cfg constraints.txt
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -c constraints.txt torch "setuptools<81" wheel ninja psutil
	$(BIN)/pip install -c constraints.txt --no-build-isolation mmcv==2.1.0
	$(BIN)/pip install -c constraints.txt -e ".[openmmlab,dev,imagenet]"
	touch $@
else
$(STAMP): setup.cfg constraints.txt
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -c constraints.txt -e ".[$(STACK),dev,imagenet]"
	touch $@
endif
