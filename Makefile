.PHONY: check format test docs wheel reference
check: ## style, types, layers
	ruff check . && ruff format --check . && mypy && lint-imports
format:
	ruff check --fix . && ruff format .
test:
	pytest
docs: ## the site in site/, every link checked
	mkdocs build --strict
reference: ## what is generated of the code
	python -m crowd_sim.config.reference --write docs/configuration.md
	python -m experiments.results_index --write docs/results.md
wheel:
	rm -rf build dist && pip wheel --no-deps --wheel-dir dist .
