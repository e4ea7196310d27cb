"""Where a run's weights come from: what was set beside its recipe, and its parents' minutes."""

import csv
import json
import subprocess
import tempfile
import zipfile
from pathlib import Path

import card

from keras_pose import presets
from keras_pose.errors import PoseError
from keras_pose.training import recipe as recipes

ROOT = Path(__file__).resolve().parents[1]
RANDOM = "random weights"  # what a run without others began with
_ADVICE = "Give --before MINUTES, the training before this run; 0 for a backbone's weights."


def settings(run, commit="") -> str:
    """What a run's recipe had that the recipe's file has not: "a.b=value c=value without d".

    run: folder of the run; commit: of the code that trained it, whose recipe is compared where git
    has it, else today's. Empty where nothing differs; says so where it cannot be known.
    """
    from keras_pose.training import state  # brings Keras

    try:
        given = recipes.filled(state.read_position(Path(run) / "last.state")["recipe"])
        own = recipes.plain(_recipe(given["name"], commit).to_dict())
    except PoseError:
        return "not known: the run's state or its recipe is not here"
    return " ".join([*_changed(given, own), *_left_out(given, own)])


def _recipe(name, commit):
    """A recipe as it was at a commit, or as it is where git does not have that."""
    path = (recipes.FOLDER / f"{name}.py").relative_to(ROOT).as_posix()
    show = ["git", "-C", str(ROOT), "show", f"{commit}:{path}"]
    try:
        done = subprocess.run(show, capture_output=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return recipes.load(name)
    if not commit or done.returncode:  # without a commit git would show what is staged
        return recipes.load(name)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / f"{name}.py"
        copy.write_bytes(done.stdout)
        return recipes.load(copy)


def _changed(given, own, path=""):
    for key, value in given.items():
        known = own.get(key)
        if isinstance(value, dict) and isinstance(known, dict):
            yield from _changed(value, known, f"{path}{key}.")
        elif key not in own or value != known:
            yield f"{path}{key}={_told(key, value)}"


def _left_out(given, own):
    """Arguments of the network that only the recipe has: of all else there is a default."""
    return [f"without network.{key}" for key in own["network"] if key not in given["network"]]


def _told(key, value):
    """As one writes it behind --set; of a file's path no more than what names it."""
    if key.endswith("weights") and value:
        from keras_pose.models.start import short

        return short(value)
    if isinstance(value, list):
        return f"({','.join(repr(part) for part in value)}{',' * (len(value) == 1)})"
    return str(value)


def notes(path) -> dict:
    """What training noted in a `.keras` of this project, without building the network."""
    try:
        with zipfile.ZipFile(path) as file:
            return json.loads(file.read("config.json"))["config"]["notes"]
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise PoseError(
            "a best.keras of a run", f"{path} ({error})", "Check the folder."
        ) from error


def minutes(run) -> float:
    """Minutes of fitting, without validation, up to the epoch that gave a run's best.keras."""
    steps, log = notes(Path(run) / "best.keras")["steps"], Path(run) / "log.csv"
    try:
        rows = list(csv.DictReader(log.read_text().splitlines()))
        seconds = next(float(row["seconds"]) for row in rows if int(row["step"]) == steps)
    except (OSError, StopIteration, KeyError, ValueError) as error:
        raise PoseError(
            f"a log.csv with a line of step {steps}, which best.keras is of",
            f"{log} without it",
            "Copy the whole run.",
        ) from error
    return round(seconds / 60, 1)


def before(start, runs) -> float:
    """Minutes of training behind the weights that a run began with, theirs and their parents'.

    start: a run's note of them (models.start.short), or a preset; runs: the folder that the runs
    are in. A trunk's or a classifier's weights count nothing. Raises PoseError for a network that
    is neither a run nor a preset here.
    """
    return round(sum(minutes for minutes, _ in _parents(start, runs)), 1)


def origin(start, runs) -> str:
    """The first weights of all behind those that a run began with; arguments as in `before`."""
    try:
        for _, first in _parents(start, runs):
            start = first
    except PoseError:
        return f"{start}, whose own beginning is not known here"
    return start


def _parents(start, runs):
    """(minutes, what it began with) of each training behind a start, the latest first; a preset
    answers for all before it."""
    from keras_pose.models.start import split

    seen = set()
    while True:
        kind, source = split(start)
        name, _, file = source.rpartition("/")
        parent, preset = Path(runs) / name, card.ZOO / (name or file)
        has_card = (preset / presets.CARD).is_file()
        if not kind and not file.endswith(".keras") and not has_card:
            return
        if parent in seen:
            raise PoseError(
                "the runs behind a run", f"{parent}, which {start!r} led to twice", _ADVICE
            )
        seen.add(parent)
        if name and (parent / "best.keras").is_file():
            start = notes(parent / "best.keras").get("start", RANDOM)
            yield minutes(parent), start
        elif has_card:
            training = card.read(preset)["training"]
            first = training.get("origin", training["start"])
            yield training["minutes"] + training["minutes_before"], first
            return
        else:
            raise PoseError(
                "the run or the preset that the weights are of",
                f"start {start!r}, and neither {parent} nor {preset} is here",
                _ADVICE,
            )
