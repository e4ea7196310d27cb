"""Where a run's weights come from: what was set beside its recipe, and its parents' minutes."""

import csv
import json
import zipfile
from pathlib import Path

import card

from keras_pose import presets
from keras_pose.errors import PoseError
from keras_pose.training import recipe as recipes

_ADVICE = "Give --before MINUTES, the training before this run; 0 for a backbone's weights."


def settings(run) -> str:
    """What a run's recipe had that the recipe's file has not: "a.b=value c=value".

    run: folder of the run. Empty where nothing differs; says so where it cannot be known.
    """
    from keras_pose.training import state  # brings Keras

    try:
        given = state.read_position(Path(run) / "last.state")["recipe"]
        own = json.loads(json.dumps(recipes.load(given["name"]).to_dict()))  # lists for tuples
    except PoseError:
        return "not known: the run's state or its recipe is not here"
    return " ".join(f"{key}={_told(key, value)}" for key, value in _changed(given, own))


def _changed(given, own, path=""):
    for key, value in given.items():
        known = own.get(key)
        if isinstance(value, dict) and isinstance(known, dict):
            yield from _changed(value, known, f"{path}{key}.")
        elif key not in own or value != known:
            yield f"{path}{key}", value


def _told(key, value):
    """As one writes it behind --set; of a file's path no more than what names it."""
    if key.endswith("weights") and value:
        return "/".join(Path(value).parts[-2:])
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

    start: a run's note of them, the last two parts of a path, or a preset; runs: the folder that
    the runs are in. A backbone's weights count nothing. Raises PoseError for a network that is
    neither a run nor a preset here.
    """
    name, _, file = start.rpartition("/")
    parent, preset = Path(runs) / name, card.ZOO / (name or file)
    if not file.endswith(".keras") and not (preset / presets.CARD).is_file():
        return 0.0
    if name and (parent / "best.keras").is_file():
        earlier = notes(parent / "best.keras").get("start", "")
        return round(minutes(parent) + before(earlier, runs), 1)
    if (preset / presets.CARD).is_file():
        training = card.read(preset)["training"]
        return round(training["minutes"] + training["minutes_before"], 1)
    raise PoseError(
        "the run or the preset that the weights are of",
        f"start {start!r}, and neither {parent} nor {preset} is here",
        _ADVICE,
    )
