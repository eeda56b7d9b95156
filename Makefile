# Everything happens in .venv, which `run` and `test` make themselves from requirements.lock.
#   make run [ARGS="--port 9000"]     start everything on this machine
#   make test [ARGS="-k cancel"]      all checks, in the order in which they are cheap
# PYTHON=… chooses the interpreter of a new .venv (3.11 or later).

VENV  := .venv
BIN   := $(VENV)/bin
STAMP := $(VENV)/.complete
PACKAGES := alphapanda workflows activities workers api migrations

.PHONY: setup run test test-fast lock docs bench clean
setup: $(STAMP)

# The stamp is written last and holds the project's path: without it the .venv was cut short, with another path it was
# moved (its scripts name their interpreter absolutely), and a .venv whose Python is gone does not run. Made anew, each.
USABLE := $(shell [ "`cat $(STAMP) 2>/dev/null`" = "$(CURDIR)" ] && $(BIN)/python -c pass 2>/dev/null && echo yes)
ifneq ($(USABLE),yes)
.PHONY: $(STAMP)
endif

# Four interpreters start at once: compiled beforehand they need a third of the time. (An environment may keep Python
# from writing its bytecode by itself.)
# The desk knows make's process, and stops when that is killed: make itself could not tell it.
run: $(STAMP)
	@$(BIN)/python -m compileall -q $(PACKAGES)
	@ALPHAPANDA_PARENT_PID=$$PPID exec $(BIN)/alphapanda up $(ARGS)

test: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict
	$(BIN)/lint-imports
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

test-fast: $(STAMP)
	$(BIN)/pytest tests/unit $(ARGS)

lock: $(STAMP)
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		--no-emit-index-url --group dev pyproject.toml -o requirements.lock

docs: $(STAMP)
	$(BIN)/python -m alphapanda.reference docs

bench: $(STAMP)
	@exec $(BIN)/alphapanda bench orders $(ARGS)

# The data in .alphapanda stays: it is an order book, not a build product.
clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
	find $(PACKAGES) tests -name __pycache__ -prune -exec rm -rf {} +

$(STAMP): requirements.lock pyproject.toml
	@set -eu; \
	if [ "$(USABLE)" != yes ]; then $(create_venv); fi; \
	rm -f $@; \
	if command -v uv >/dev/null 2>&1; then install="uv pip install --quiet --compile-bytecode --python $(BIN)/python"; \
	elif $(BIN)/python -m pip --version >/dev/null 2>&1; then \
		install="$(BIN)/python -m pip install --quiet --disable-pip-version-check"; \
	else install="$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python"; fi; \
	echo "Installing what requirements.lock names (the first time this takes up to a minute)"; \
	$$install --require-hashes -r requirements.lock; \
	$$install --no-deps --no-build-isolation -e .; \
	printf '%s\n' "$(CURDIR)" > $@

# A Python counts only if it runs: version managers leave commands that do nothing but complain. uv brings its own
# installer, so without pip's (Debian packages it apart) a .venv can still be made where uv is present.
define create_venv
	rm -rf $(VENV); \
	needs='import sys, venv; sys.exit(sys.version_info < (3, 11))'; without_pip=--without-pip; \
	command -v uv >/dev/null 2>&1 || { needs="import ensurepip; $$needs"; without_pip=; }; \
	python=; bare=; \
	for each in $(or $(PYTHON),python3.13 python3.12 python3.11 python3); do \
		if "$$each" -c "$$needs" >/dev/null 2>&1; then python=$$each; break; fi; \
		if "$$each" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then bare=$$each; fi; \
	done; \
	if [ -z "$$python" ] && [ -n "$$bare" ]; then \
		echo "$$bare is there, but it cannot make virtual environments: its venv or ensurepip module is missing." >&2; \
		echo "On Debian and Ubuntu: apt install python3-venv. Then run make again." >&2; exit 1; \
	fi; \
	if [ -z "$$python" ]; then \
		echo "No Python 3.11 or later found (tried: $(or $(PYTHON),python3.13 python3.12 python3.11 python3))." >&2; \
		echo "Install one, or name yours: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; exit 1; \
	fi; \
	echo "Making $(VENV) with $$python"; \
	"$$python" -m venv $$without_pip $(VENV)
endef
