# Facecraft: the commands of the README. Everything lands in .venv, out/ and the user's model folder.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PHOTO ?=
IMAGE ?= djok/facecraft
MODEL_PACKS ?= starter
BUILD ?=
VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
RUNTIME_STAMP := $(VENV)/.runtime-stamp
DEV_STAMP := $(VENV)/.dev-stamp
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install -qq --no-warn-script-location

.PHONY: help demo test run check bench soak docs lock setup models clean image-cpu image-gpu image-test image-size

help: ## Show the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -e 's/:.*##/\t/' | expand -t 12

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Facecraft needs Python 3.11 or newer; set PYTHON=…") if sys.version_info < (3, 11) else None'
	@$(PYTHON) -m venv $(VENV)

$(RUNTIME_STAMP): requirements/runtime.txt pyproject.toml | $(VENV)/bin/python
	@echo "Installing the locked dependencies …" >&2
	@$(PIP) --require-hashes -r requirements/runtime.txt
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(DEV_STAMP): requirements/dev.txt $(RUNTIME_STAMP)
	@echo "Installing the locked development dependencies …" >&2
	@$(PIP) --require-hashes -r requirements/dev.txt
	@touch $@

setup: $(DEV_STAMP) ## Create .venv with everything needed for development

models: $(RUNTIME_STAMP) ## Install the starter models
	@$(BIN)/facecraft models install starter

demo: models ## Turn a sample portrait (or PHOTO="a.jpg b.jpg") into out/demo
	@$(BIN)/facecraft demo $(PHOTO) --out out/demo

run: models ## Serve the API on port 8000
	@$(BIN)/facecraft serve

test: $(DEV_STAMP) models ## Run all tests
	@sh tests/services/install.sh
	@$(BIN)/facecraft models install dlib_resnet dlib_5 >/dev/null || echo "dlib's models could not be fetched: their tests are skipped" >&2
	@$(BIN)/python -m pytest -n 2 --dist loadfile

check: $(DEV_STAMP) ## Lint, types, import contracts and house rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python -m pytest -q tests/architecture

bench: $(DEV_STAMP) models ## Print speed and quality as ratios against the floor
	@$(BIN)/facecraft bench portrait $(PHOTO)
	@$(BIN)/python benchmarks/matting.py
	@$(BIN)/python benchmarks/framing.py

soak: $(DEV_STAMP) models ## Watch the memory over 2,000 mixed pictures
	@$(BIN)/python benchmarks/soak.py

docs: $(DEV_STAMP) ## Write the reference pages from the code
	@$(BIN)/python docs/generate.py

lock: $(VENV)/bin/python ## Resolve the dependencies again and write the locks
	@$(PIP) uv
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes -c requirements/constraints.txt --no-annotate --no-header --no-emit-index-url --no-emit-find-links --extra cpu --extra server pyproject.toml requirements/build.in -o requirements/runtime.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes -c requirements/constraints.txt --no-annotate --no-header --no-emit-index-url --no-emit-find-links --extra dev -c requirements/runtime.txt pyproject.toml requirements/build.in -o requirements/dev.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes -c requirements/constraints.txt -c requirements/runtime.txt --no-annotate --no-header --no-emit-index-url --no-emit-find-links requirements/build.in -o requirements/build.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes -c requirements/constraints.txt -c requirements/runtime.txt --no-annotate --no-header --no-emit-index-url --no-emit-find-links --extra cpu --extra server --extra postgres --extra scale pyproject.toml -o requirements/image-cpu.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes -c requirements/constraints.txt -c requirements/runtime.txt --no-annotate --no-header --no-emit-index-url --no-emit-find-links --extra gpu --extra server --extra postgres --extra scale pyproject.toml -o requirements/image-gpu.txt

image-cpu: ## Build the CPU image (MODEL_PACKS=, BUILD="more options of docker build")
image-gpu: ## Build the GPU image
image-cpu image-gpu: image-%:
	@docker build -f deploy/docker/Dockerfile --target $* --build-arg MODEL_PACKS="$(MODEL_PACKS)" --build-arg VERSION=$(VERSION) --build-arg REVISION=$$(git rev-parse HEAD 2>/dev/null) $(BUILD) -t $(IMAGE):$* -t $(IMAGE):$(VERSION)-$* .

image-test: image-cpu ## Run everything that the CPU image promises
	@deploy/test/image.sh $(IMAGE):cpu

image-size: ## Print the layers of the images that were built
	@for each in cpu gpu; do docker image inspect $(IMAGE):$$each --format "$(IMAGE):$$each {{.Size}} bytes" 2>/dev/null && docker history --format '{{.Size}}	{{.CreatedBy}}' $(IMAGE):$$each | grep -v '^0B' | cut -c 1-110; done; true

clean: ## Remove what the commands made here (models stay)
	rm -rf $(VENV) out .mypy_cache .ruff_cache .pytest_cache .hypothesis
