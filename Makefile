# The project's commands. Each command creates the virtual environment that the command needs.
# Without a suitable Python, find-python prints an error, and `false` makes every target that needs Python fail.
PYTHON3 := $(or $(shell scripts/find-python),false)
# Tests mostly wait, so four processes run the tests even on two cores. One process runs all tests of a file in order.
PARALLEL := --numprocesses 4 --dist loadfile --no-loadscope-reorder
# One worker has its own cluster, and the other workers share a second cluster. In the existing cluster of
# E2E_KUBECONFIG, one worker runs all tests.
E2E_WORKERS ?= $(if $(E2E_KUBECONFIG),1,3)

# The tests of the lab run in their own process, because JAX starts threads that a fork in other tests would break.

.PHONY: help demo test test-lab coverage lint lock clients images reference chart bench bench-operator e2e embedding release-dry-run
.PHONY: artefacts lab-bench

help: ## list the targets of this Makefile
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-17s %s\n", $$1, $$2}' Makefile

demo: ## start a router with a small model on this machine, show a routed answer, and run until Ctrl-C
	@$(PYTHON3) scripts/environment.py run
	@.venv/bin/python scripts/demo.py

test: ## run the linters, the type and import checks, and every test that needs no cluster
	@$(PYTHON3) scripts/environment.py dev
	@$(MAKE) --no-print-directory lint
	@.venv/bin/python -m pytest $(PARALLEL)
	@$(MAKE) --no-print-directory test-lab

test-lab: export PYTEST_ADDOPTS := $(PYTEST_ADDOPTS:.xml=-lab.xml)
test-lab: ## run the tests of the lab, in a process of their own
	@.venv/bin/python -m pytest lab/tests

coverage: ## run the tests and report which lines they do not cover; takes 75% more CPU time than the tests alone
	@$(PYTHON3) scripts/environment.py dev
	@.venv/bin/python -m pytest $(PARALLEL) --cov --cov-report=term-missing:skip-covered

lint: ## run the linters, and the type and import checks
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports
	@git ls-files --cached --others --exclude-standard | xargs grep -lE '^#!.*\bbash' | xargs .venv/bin/shellcheck

clients: ## test unchanged client software against the router that serve.sh starts
	@clients/run

e2e: ## test the images, the chart and the operator in the cluster of E2E_KUBECONFIG, or without it in new kind clusters
	@$(PYTHON3) scripts/environment.py dev
	@scripts/images api model operator e2e-client
	@.venv/bin/python -m pytest --numprocesses $(E2E_WORKERS) --dist loadscope --no-loadscope-reorder e2e

bench: ## measure what a request costs in RL Router and in comparable software, and write bench/results.md
	@$(PYTHON3) scripts/environment.py dev
	@.venv/bin/python bench/run.py
	@.venv/bin/python bench/sustained_load.py
	@.venv/bin/python bench/start.py
	@.venv/bin/python bench/decisions.py
	@.venv/bin/python bench/policy.py
	@PYTHONPATH=. .venv/bin/python bench/health.py

bench-operator: ## measure the operator with 1, 100 and 1,000 RouterDeployments, and write bench/operator.md
	@$(PYTHON3) scripts/environment.py dev
	@PYTHONPATH=bench:. .venv/bin/python bench/operator/run.py

images: ## build the container images rl-router/api, model and operator, tagged with the version
	@scripts/images

reference: ## write the files in crds/ and docs/ that are generated from the schemas
	@$(PYTHON3) scripts/environment.py dev
	@.venv/bin/python -m rl_router_operator.generate
	@.venv/bin/python scripts/configuration_reference.py

chart: ## write the generated files in charts/ and deploy/
	@$(PYTHON3) scripts/environment.py dev
	@.venv/bin/python scripts/chart

embedding: ## download all-MiniLM-L6-v2 and distil the bundled word embedding from it; takes some minutes
	@$(PYTHON3) scripts/environment.py dev
	@.venv/bin/python -m rl_router_lab.embedding

artefacts: ## train the bundled artefact from the public tables in the folder DATA
	@$(PYTHON3) scripts/environment.py dev
	@scripts/artefacts $(DATA)

lab-bench: ## measure trained policies on the public tables in the folder DATA, and write lab/results/; takes hours
	@$(PYTHON3) scripts/environment.py dev
	@.venv/bin/python -m rl_router_lab.benchmark $(DATA) --out lab/results $(OPTIONS)

release-dry-run: ## build in dist/ everything that a release publishes, and publish nothing
	@$(PYTHON3) scripts/environment.py dev
	@scripts/release

lock: ## lock the requirements of pyproject.toml in requirements/*.txt; UPGRADE=1 upgrades the locked versions
	@$(PYTHON3) scripts/environment.py dev
	@scripts/lock $(if $(UPGRADE),--upgrade)
