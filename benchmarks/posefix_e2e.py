"""E2E-refine against MA-refine: a refiner trained with its estimator, and PoseFix (its table 1).

    python benchmarks/posefix_e2e.py --data DIR [--estimator BEST.keras] [--set a.b=c] [--smoke]

The estimator is a SimpleBaseline taught logits (network.loss=softmax): --estimator, or one that is
trained as --recipe says, with the backbone and the head of its PoseFix. E2E-refine is
keras_pose.models.EndToEnd, which begins with that estimator, MA-refine the recipe's PoseFix, which
never sees it. All are trained as the recipe says and scored on the validation persons: E2E-refine
in its own crops, MA-refine in crops around the estimator's poses.

Writes posefix_e2e.csv; changes are against the estimator before either was trained. Runs lie in
--out, and go on when called again.
"""

import dataclasses
import inspect

import posefix_pipelines
import refined
import table
import trainings

from keras_pose.errors import PoseError, command_line

RUNS = ("estimator", "end_to_end", "model_agnostic")  # folders
_OWN = ("decoder", "sigma")  # of SimpleBaseline's arguments, those that mean another thing there


def estimator_of(recipe):
    """The recipe of a SimpleBaseline with the same backbone and head as a PoseFix."""
    from keras_pose import models

    known = inspect.signature(models.SimpleBaseline).parameters.keys() - set(_OWN)
    network = {k: v for k, v in recipe.network.items() if k in known}
    return dataclasses.replace(
        recipe, builder="SimpleBaseline", network={**network, "loss": "softmax"}
    )


def joined(recipe, estimator):
    """The recipe of E2E-refine. estimator: the .keras that it begins with.

    Raises PoseError for another network than a SimpleBaseline, and for another input size.
    """
    from keras_pose import models

    first = models.load(estimator)
    size = tuple(recipe.input_size)
    if first.builder != "SimpleBaseline" or tuple(first.input_size) != size:
        raise PoseError(
            f"a SimpleBaseline for crops of {size} as the estimator",
            f"{estimator}, a {first.builder} for {tuple(first.input_size)}",
            "Train one, or leave --estimator out.",
        )
    return _both(recipe, first.arguments, str(estimator))


def _both(recipe, estimator, weights):
    """The recipe of E2E-refine. estimator: its arguments; weights: what it begins with."""
    from keras_pose.models.parts import SET

    parts = (
        {k: v for k, v in given.items() if k not in SET} for given in (estimator, recipe.network)
    )
    network = dict(zip(("estimator", "refiner"), parts, strict=True))
    network |= {"input_size": tuple(recipe.input_size), "weights": weights}
    network["refiner_weights"] = recipe.network.get("weights")
    return dataclasses.replace(recipe, builder="EndToEnd", network=network)


def check(recipe, estimator, skeleton, out):
    """Refuses what cannot be built, before anything is trained. estimator: a .keras, or None for
    one that will be trained. Raises PoseError."""
    own = estimator_of(recipe)
    if estimator is None:
        trainings.check(own, skeleton, out / RUNS[0])
        both = _both(recipe, own.network, own.network.get("weights"))
    else:
        both = joined(recipe, estimator)
    trainings.check(both, skeleton, out / RUNS[1])
    trainings.check(recipe, skeleton, out / RUNS[2])


def line(way, scores, before, recipe, taken):
    """A row of the table. scores, before: of it, and of the estimator as it was, by metric."""
    changes = {f"change_{name}": round(scores[name] - before[name], 2) for name in before}
    return {
        "way": way, "recipe": recipe.name, "epochs": recipe.epochs, **scores, **changes,
        "minutes": taken,
    }  # fmt: skip


def pck(best, data, recipe, output=""):
    """PCK by metric of a prediction of a .keras."""
    return trainings.pck(trainings.found(best, data, recipe, output).score())


@command_line
def main(arguments=None):
    parser = trainings.parser(__doc__.splitlines()[0], "runs/posefix_e2e", trainings.POSEFIX)
    parser.add_argument("--estimator", metavar="FILE", help="a SimpleBaseline's .keras")
    given = parser.parse_args(arguments)
    recipe, data, out, results = trainings.opened(given)
    posefix_pipelines.check(recipe)
    from keras_pose.data.open import open_reader
    from keras_pose.models.end_to_end import ESTIMATED
    from keras_pose.training import evaluate

    reader, limit = open_reader(data, "val"), recipe.validate
    check(recipe, given.estimator, reader.skeleton, out)
    first, taken = given.estimator, None
    if first is None:
        first = trainings.trained(estimator_of(recipe), data, out / RUNS[0])
        taken = trainings.minutes(first)
    both = trainings.trained(joined(recipe, first), data, out / RUNS[1])
    alone = trainings.trained(recipe, data, out / RUNS[2])

    poses, only, _ = refined.estimated(first, reader, limit)
    refiner = evaluate.open_model(alone)
    found = refined.refined(refiner, reader, "MA-refine", poses, only, limit=limit)
    before, e2e = pck(first, data, recipe), trainings.minutes(both)
    after = trainings.pck(found.report)
    rows = [
        line("estimator", before, before, recipe, taken),
        line("estimator in E2E-refine", pck(both, data, recipe, ESTIMATED), before, recipe, e2e),
        line("E2E-refine", pck(both, data, recipe), before, recipe, e2e),
        line("MA-refine", after, before, recipe, trainings.minutes(alone)),
    ]
    for row in rows:
        print(f"{row['way']}: {row['pck@0.1']} PCK@0.1 ({row['change_pck@0.1']:+})")
    table.write_with_command(results / "posefix_e2e.csv", rows, __file__)


if __name__ == "__main__":
    main()
