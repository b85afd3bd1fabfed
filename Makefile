# The few commands that a person types. Each is thin: the work is in `yard` and in the tests.
PYTHON ?= python3
KEY := $(shell cat ci/setup.sh requirements-setup.lock requirements.lock pyproject.toml | sha256sum | cut -c1-16)
STAMP := .venv/.setup-$(KEY)

.DEFAULT_GOAL := help
.PHONY: help setup up down check test test-faults test-growth test-hosts preview clean

help: ## say what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/'

setup: $(STAMP) ## make .venv from the locks

$(STAMP):
	@ci/setup.sh $(PYTHON)
	@touch $@

up: setup ## bring up `local`: tools, hosts, cluster, platform, model; ends with a prediction
	@.venv/bin/yard up local

down: setup ## take `local` away again
	@.venv/bin/yard down local

check: setup ## the fast part of CI: format, lint, types, Ansible, fast tests
	@ci/check.sh

test: setup ## all of CI: check, then environment `test` with everything on it
	@ci/test.sh

test-faults: setup ## bad luck, all of it: kills, full disks, no network (docs/faults.md)
	@ci/test-faults.sh

test-growth: setup ## many services and nodes, on a cluster of the tests' own (docs/growth.md)
	@.venv/bin/pytest -v --durations=5 -m growth tests/growth

test-hosts: setup ## all that is tested on hosts, also what takes minutes (docs/hosts.md)
	@ci/test-hosts.sh

ENV ?= dev
preview: setup ## what a change would do to ENV (dev), as Markdown in previews/; OFFLINE=--offline asks nobody
	@mkdir -p previews
	@status=0; .venv/bin/yard preview $(ENV) $(OFFLINE) --format markdown --full previews/full.md \
	  > previews/comment.md || status=$$?; \
	if [ -n "$$GITHUB_STEP_SUMMARY" ]; then cat previews/comment.md >> "$$GITHUB_STEP_SUMMARY"; fi; exit $$status

clean: ## remove .venv and what tools cached in the checkout (not ~/.cache/modelyard)
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .ansible
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
