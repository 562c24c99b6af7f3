# The project's commands; each makes the virtual environment it needs.
# Where there is none, find-python has said so and the first command fails.
PYTHON3 := $(or $(shell scripts/find-python),false)
# Most of a test's time is waiting, so more of them run than there are cores. A file's tests stay together, in order.
SIDE_BY_SIDE := --numprocesses 4 --dist loadfile --no-loadscope-reorder
# So it is in a cluster: one worker has a cluster alone, the others share one. In a cluster that is given tests run in turn.
E2E_WORKERS ?= $(if $(E2E_KUBECONFIG),1,3)

.PHONY: demo test coverage lint lock clients images reference chart bench bench-operator e2e release-dry-run

demo: ## a routed answer on this machine; stays up until Ctrl-C
	@$(PYTHON3) scripts/environment.py run
	@.venv/bin/python scripts/demo.py

test: ## lint, types, import rules and every test that needs no cluster
	@$(PYTHON3) scripts/environment.py dev
	@$(MAKE) --no-print-directory lint
	@.venv/bin/python -m pytest $(SIDE_BY_SIDE)

coverage: ## which lines no test runs; takes three quarters more CPU time than the tests alone
	@$(PYTHON3) scripts/environment.py dev
	@.venv/bin/python -m pytest $(SIDE_BY_SIDE) --cov --cov-report=term-missing:skip-covered

lint:
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports
	@git ls-files --cached --others --exclude-standard | xargs grep -lE '^#!.*\bbash' | xargs .venv/bin/shellcheck

clients: ## unchanged client software against serve.sh
	@clients/run

e2e: ## the images, the chart and the operator in a real cluster (E2E_KUBECONFIG; unset: some made with kind)
	@$(PYTHON3) scripts/environment.py dev
	@scripts/images api model operator e2e-client
	@.venv/bin/python -m pytest --numprocesses $(E2E_WORKERS) --dist loadscope --no-loadscope-reorder e2e

bench: ## what a request costs, beside peers; writes bench/results.md
	@$(PYTHON3) scripts/environment.py dev
	@.venv/bin/python bench/run.py
	@.venv/bin/python bench/lasting.py
	@.venv/bin/python bench/start.py
	@.venv/bin/python bench/decisions.py
	@.venv/bin/python bench/health.py

bench-operator: ## what the operator costs for 1, 100 and 1,000 RouterDeployments; writes bench/operator.md
	@$(PYTHON3) scripts/environment.py dev
	@PYTHONPATH=bench:. .venv/bin/python bench/operator/run.py

images: ## the container images rl-router/api, model and operator, tagged with the version
	@scripts/images

reference: ## write what of crds/ and docs/ follows from the schemas
	@$(PYTHON3) scripts/environment.py dev
	@.venv/bin/python -m rl_router_operator.generate
	@.venv/bin/python scripts/configuration_reference.py

chart: ## write what of charts/ and deploy/ follows from other files
	@$(PYTHON3) scripts/environment.py dev
	@.venv/bin/python scripts/chart

release-dry-run: ## everything that a release publishes, in dist/
	@$(PYTHON3) scripts/environment.py dev
	@scripts/release

lock: ## requirements/*.txt from pyproject.toml; UPGRADE=1 also replaces versions that are locked already
	@$(PYTHON3) scripts/environment.py dev
	@scripts/lock $(if $(UPGRADE),--upgrade)
