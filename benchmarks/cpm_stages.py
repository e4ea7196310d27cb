"""Accuracy stage by stage (CPM's figure 6c), over the thresholds of PCK.

    python benchmarks/cpm_stages.py [--model best.keras] [--data DIR] [--set a.b=c] [--smoke]

Without --model it first trains --recipe with six stages, as many as the paper looks at. Writes
cpm_stages.csv and cpm_stages.png.
"""

import numpy as np
import table
import trainings

from keras_pose.errors import PoseError, command_line

THRESHOLDS = np.round(np.arange(0, 0.201, 0.01), 2)  # of the torso's diameter, as in figure 6
STAGES = 6


def curve(found):
    """PCK in percent at each of THRESHOLDS."""
    from keras_pose import metrics

    torso = metrics.torso(found.truth, found.visible, found.skeleton)
    return [
        metrics.pck(found.predicted, found.truth, found.visible, torso, t, found.skeleton)["mean"]
        for t in THRESHOLDS
    ]


def stage_outputs(path):
    """The names of a network's stages, in order. Raises PoseError where it has none."""
    from keras_pose import models

    network = models.load(path)
    names = [n for n in network.output if n.startswith("stage") and n[5:].isdigit()]
    if not names:
        raise PoseError(
            "a network with outputs stage1, stage2 ...",
            f"{path}, a {network.builder} with {sorted(network.output)}",
            "Give the best.keras of a CPM or a CPMMobile.",
        )
    return sorted(names, key=lambda name: int(name[5:]))


def picture(curves, path):
    """Curves over the thresholds, and two thresholds over the stages."""
    figure, ((left, right),) = trainings.plots(columns=2)
    for name, values in curves.items():
        left.plot(THRESHOLDS, values, label=name.replace("stage", "stage "))
    left.set(xlabel="threshold, of the torso's diameter", ylabel="PCK, %", xlim=(0, 0.2))
    for threshold in (0.1, 0.2):
        column = list(THRESHOLDS).index(threshold)
        values = [c[column] for c in curves.values()]
        right.plot(range(1, len(values) + 1), values, ".-", label=f"PCK@{threshold}")
    right.set(xlabel="stage", ylabel="PCK, %", xticks=range(1, len(curves) + 1))
    for plot in (left, right):
        plot.legend()
        plot.grid(alpha=0.3)
    trainings.draw(figure, path)


@command_line
def main(arguments=None):
    parser = trainings.parser(__doc__.splitlines()[0], "runs/cpm_stages", trainings.CPM)
    parser.add_argument("--model", help="a trained network of stages, instead of training one")
    given = parser.parse_args(arguments)
    from keras_pose.models import start

    recipe, data, out, results = trainings.opened(given)
    best = given.model
    if best is None:
        recipe = trainings.changed(recipe, {"stages": 3 if given.smoke else STAGES})
        best = trainings.trained(recipe, data, out / "run")
    model = start.short(given.model) if given.model else recipe.name
    rows, curves = [], {}
    for name in stage_outputs(best):
        found = trainings.found(best, data, recipe, name)
        curves[name] = curve(found)
        for threshold, value in zip(THRESHOLDS, curves[name], strict=True):
            row = {"stage": int(name[5:]), "threshold": threshold, "pck": round(value, 2)}
            rows.append({**row, "persons": len(found.truth), "model": model})
        print(f"{name}: {curves[name][-1]:.1f} PCK@0.2, {curves[name][10]:.1f} PCK@0.1")
    table.write_with_command(results / "cpm_stages.csv", rows, __file__)
    picture(curves, results / "cpm_stages.png")


if __name__ == "__main__":
    main()
