# make demo   the whole line on built-in figures: train, export, check, draw (DATA=dir for your own)
# make test   lint and the whole test suite
# make refine IMAGES=dir RESULTS=in.json MODEL=posefix.tflite OUT=out.json   anybody's poses, better

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA ?= figures

.PHONY: demo test refine lint clean

demo: $(VENV)/installed
	$(BIN)/python train/demo.py --data "$(DATA)"

test: $(VENV)/installed-dev lint
	$(BIN)/python -m pytest -n 2 --dist loadfile

refine: $(VENV)/installed
	$(BIN)/python apps/refine.py --images "$(IMAGES)" --results "$(RESULTS)" --model "$(MODEL)" \
	--out "$(OUT)" $(OPTIONS)

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

$(VENV)/created:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else \
	"error: expected Python 3.11 to 3.13\n       received %d.%d\n       Call make PYTHON=python3.12" % v)'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/installed: requirements.txt pyproject.toml | $(VENV)/created
	$(BIN)/python -m pip install --quiet -r requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps -e .
	@touch $@

$(VENV)/installed-dev: requirements-dev.txt $(VENV)/installed
	$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	@touch $@

clean:
	rm -rf $(VENV) runs/demo build *.egg-info
