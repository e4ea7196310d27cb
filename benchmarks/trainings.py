"""What benchmarks that train share: arguments, runs that go on where they stopped, scores."""

import argparse
import csv
import dataclasses
import logging
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from keras_pose.errors import PoseError

RESULTS = Path(__file__).parent / "results"
METRICS = ("pck@0.2", "pck@0.1")


@dataclasses.dataclass(frozen=True)
class Family:
    """Networks of one paper. recipe: what is trained unless --recipe says otherwise; of: what such
    a recipe is of; smoke: what --smoke sets of it; data: what --smoke takes without data."""

    recipe: str
    of: str
    smoke: tuple
    data: str = ""


CPM = Family(
    "cpm_figures",
    "a network of stages",
    ("network.input_size=(48, 48)", "network.channels=8", "network.wide=16"),
)
POSEFIX = Family(
    "posefix_mobile_lsp",
    "a PoseFix",
    ("network.input_size=(64, 64)", "network.frozen_norm=false"),
    "figures:48",
)


def parser(description, out, family):
    """The arguments that all of them have."""
    made = argparse.ArgumentParser(description=description)
    made.set_defaults(family=family)
    made.add_argument("--recipe", default=family.recipe, help=f"of {family.of}")
    made.add_argument("--data", help="labelled pictures (default: the recipe's)")
    made.add_argument("--out", default=out, help="folder of the runs; what is there goes on")
    made.add_argument("--results", help="folder of table and picture (default: benchmarks/results)")
    made.add_argument("--set", action="append", default=[], metavar="a.b=c", dest="overrides")
    made.add_argument("--smoke", action="store_true", help="two minutes of it; results in --out")
    return made


def opened(given):
    """(recipe, data, folder of the runs, folder of the results) of the parsed arguments."""
    from keras_pose.training import recipe as recipes

    logging.getLogger("tensorflow").setLevel("ERROR")  # it wonders at so many networks
    small = given.family.smoke if given.smoke else ()
    recipe = recipes.load(given.recipe, [*small, *given.overrides])
    if given.smoke:
        recipe = dataclasses.replace(recipe.smoke(), epochs=1)
    data = given.data or recipe.data or (given.family.data if given.smoke else "")
    if not data:
        raise PoseError(
            "--data, a folder of labelled pictures",
            f"none, and recipe {recipe.name} has no data of its own",
            "Write --data figures for built-in ones.",
        )
    return recipe, data, Path(given.out), folder(given)


def folder(given) -> Path:
    """Where the results of the parsed arguments go."""
    return Path(given.results or (given.out if given.smoke else RESULTS))


def changed(recipe, network=None, **fields):
    """A recipe with other arguments of its network, and other fields."""
    return dataclasses.replace(recipe, network={**recipe.network, **(network or {})}, **fields)


def check(recipe, skeleton, out):
    """Builds a network as `trained` would, and forgets it, so that what cannot be built is refused
    before anything else is trained."""
    import keras

    recipe.build(skeleton, start=not _begun(out))
    keras.backend.clear_session()


def _begun(out) -> bool:
    """Whether a folder holds a run to go on with."""
    return (Path(out) / "last.state").exists()


def trained(recipe, data, out, watches=()):
    """The best.keras of a run in the folder `out`, which goes on where an earlier call stopped."""
    import keras

    from keras_pose.training import run

    keras.backend.clear_session()
    print(f"{Path(out).name}: {recipe.builder}, {recipe.epochs} epochs", flush=True)
    return run.train(recipe, data, out, _begun(out), watches=watches)


def found(best, data, recipe, output=""):
    """What a network says of the persons that the recipe validates with, a training.evaluate.Found.

    output: which of its predictions, "" for the last.
    """
    from keras_pose.data.open import open_reader
    from keras_pose.training import evaluate

    predict, _, size, margin = evaluate.open_model(best, output)
    return evaluate.find(predict, open_reader(data, "val"), size, margin, recipe.validate)


def pck(report, of="") -> dict:
    """PCK in percent, by metric. of: "input " for that of poses before they were refined."""
    return {name: round(report.mean(f"{of}{name}"), 2) for name in METRICS}


def scored(best, data, recipe) -> dict:
    """PCK of a run's best.keras, and the minutes that it took."""
    report = found(best, data, recipe).score()
    return {**pck(report), "persons": report.persons, "minutes": minutes(best)}


def minutes(best) -> float:
    """Minutes of fitting, without validation, of the whole run that a best.keras is of."""
    with open(Path(best).parent / "log.csv", newline="") as file:
        return round(float(list(csv.DictReader(file))[-1]["seconds"]) / 60, 1)


def plots(rows=1, columns=1, size=(5.5, 4.0), **shared):
    """A matplotlib figure with a grid of plots, and the plots as (rows, columns)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False, **shared)


def draw(figure, path):
    """Writes a figure as PNG, and says where."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    print(f"written to {os.path.relpath(path)}")
