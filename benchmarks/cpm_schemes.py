"""CPM's four ways of training (its section 4.1, figure 6b), each with as many epochs in all.

    python benchmarks/cpm_schemes.py [--recipe cpm_figures] [--data DIR] [--set a.b=c] [--smoke]

(i)   all stages at once, each of them supervised
(ii)  stage by stage: each is trained on what the frozen ones before it say, and stacked
(iii) half of the epochs as (ii), then half as (i) from there
(iv)  all stages at once, the last one alone supervised

Writes benchmarks/results/cpm_schemes.csv. Runs lie in --out, and go on when called again. Every
phase is a run of its own, with the recipe's schedule over its share of the epochs.
"""

import dataclasses
import inspect

import table
import trainings

from keras_pose.errors import PoseError, command_line

SCHEMES = {
    "i": "end-to-end, intermediate supervision",
    "ii": "stage-wise",
    "iii": "stage-wise, then as i",
    "iv": "end-to-end, last stage supervised",
}


@dataclasses.dataclass(frozen=True)
class Phase:
    """A run of a scheme. stages: how many it has; supervised: "all" or "last"; alone: its last
    stage is trained by itself, what came before is frozen."""

    stages: int
    epochs: int
    supervised: str
    alone: bool = False


def phases(scheme, stages, epochs):
    """The runs of a scheme, whose epochs add up. Raises PoseError for too few of them."""
    joint = {"i": epochs, "ii": 0, "iii": epochs - epochs // 2, "iv": epochs}[scheme]
    ends = [t * (epochs - joint) // stages for t in range(stages + 1)]
    planned = []
    if scheme in ("ii", "iii"):
        planned = [Phase(t, ends[t] - ends[t - 1], "last", True) for t in range(1, stages + 1)]
    if joint:
        planned.append(Phase(stages, joint, "last" if scheme == "iv" else "all"))
    if min(phase.epochs for phase in planned) < 1:
        raise PoseError(
            f"at least {2 * stages} epochs for {stages} stages",
            f"{epochs}",
            "Raise --set epochs, or lower --set network.stages.",
        )
    return planned


def recipe_of(phase, recipe, before):
    """The recipe of a phase. before: the best.keras of the one before, None for the first."""
    from keras_pose import models
    from keras_pose.models import start

    network, frozen = {"stages": phase.stages, "supervised": phase.supervised}, ()
    if before is not None:
        network["weights"] = f"{start.STAGES_OF if phase.alone else ''}{before}"
    if before is not None and phase.alone:
        frozen = tuple(layer.name for layer in models.load(before).layers if layer.weights)
        # what is frozen answers as it will in the end
        if "dropout" in inspect.signature(getattr(models, recipe.builder)).parameters:
            network["dropout"] = 0.0
    return trainings.changed(recipe, network, epochs=phase.epochs, frozen=frozen)


def train(scheme, recipe, data, out):
    """The best.keras of every phase, in order; the last one is what the scheme gives."""
    done = []
    for number, phase in enumerate(phases(scheme, stages_of(recipe), recipe.epochs), 1):
        before = done[-1] if done else None
        own = recipe_of(phase, recipe, before)
        done.append(trainings.trained(own, data, out / f"{scheme}_{number}"))
    return done


def stages_of(recipe) -> int:
    """How many stages a recipe's network has. Raises PoseError where it has none."""
    from keras_pose import models

    parameters = inspect.signature(getattr(models, recipe.builder)).parameters
    if not {"stages", "supervised"} <= parameters.keys():
        raise PoseError(
            "a recipe of a network of supervised stages, as cpm_figures",
            f"{recipe.name}, a {recipe.builder}",
            "Choose another --recipe.",
        )
    return recipe.network.get("stages", parameters["stages"].default)


@command_line
def main(arguments=None):
    parser = trainings.parser(__doc__.splitlines()[0], "runs/cpm_schemes", trainings.CPM)
    parser.add_argument("--schemes", nargs="+", choices=SCHEMES, default=list(SCHEMES))
    given = parser.parse_args(arguments)
    recipe, data, out, results = trainings.opened(given)
    if given.smoke:
        recipe = trainings.changed(recipe, {"stages": 2}, epochs=4)
    rows = []
    for scheme in given.schemes:
        bests = train(scheme, recipe, data, out)
        rows.append(
            {
                "scheme": scheme, "how": SCHEMES[scheme], "recipe": recipe.name,
                "stages": stages_of(recipe), "epochs": recipe.epochs, "runs": len(bests),
                **trainings.scored(bests[-1], data, recipe),
                "minutes": round(sum(map(trainings.minutes, bests)), 1),
            }
        )  # fmt: skip
        print(f"({scheme}) {SCHEMES[scheme]}: {rows[-1]['pck@0.2']} PCK@0.2")
    table.write_with_command(results / "cpm_schemes.csv", rows, __file__)


if __name__ == "__main__":
    main()
