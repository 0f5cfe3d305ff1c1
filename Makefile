# `make run` starts the product, `make test` checks it. Both set up what they need, in the user's cache.

PYTHON := $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
ifeq ($(PYTHON),)
$(error Python 3.11 or newer is needed and none was found on PATH)
endif

RUNTIME := $(PYTHON) -m tools.environment runtime
DEV := $(PYTHON) -m tools.environment dev
LOCK := $(PYTHON) -m tools.environment uv uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --custom-compile-command "make lock"
PYTEST = TMS_TEST_CHROMIUM="$$($(DEV) python -m tools.chromium)" $(DEV) pytest -n 2 --dist loadgroup

.PHONY: run test lint format coverage screenshots lock upgrade

run:
	@$(RUNTIME) python -m tools.serve

test: lint
	$(PYTEST)

lint:
	$(DEV) ruff check
	$(DEV) ruff format --check
	$(DEV) mypy
	$(DEV) lint-imports

format:
	$(DEV) ruff check --fix
	$(DEV) ruff format

coverage:
	$(PYTEST) --cov --cov-report=term-missing:skip-covered

screenshots:
	TMS_TEST_CHROMIUM="$$($(DEV) python -m tools.chromium)" $(DEV) python -m tests.ui.screenshots

# `lock` keeps what is pinned and still fits; `upgrade` takes everything to its newest version.
upgrade: LOCK += --upgrade
upgrade: lock

lock:
	$(LOCK) requirements.in -o requirements.txt
	$(LOCK) requirements-dev.in -o requirements-dev.txt
