"""OKS of each pose before and after PoseFix, as a table and a picture (PoseFix's figure 7).

    python benchmarks/posefix_oks.py --model M --estimators A B C --data DIR [--limit N] [--smoke]
    python benchmarks/posefix_oks.py --files BEFORE.json AFTER.json --data COCO

The first is of estimators' poses of the validation persons, as in posefix_helps.py; without
estimators, of errors drawn as in training. The second is of a file of key point results and what
apps/refine.py made of it. Data without areas, as LSP, get those of the key points' extent
(metrics/diagnosis.py).

Writes posefix_oks.csv, a line per pose, and posefix_oks.png.
"""

import numpy as np
import refined
import table
import trainings

from keras_pose.errors import PoseError, command_line
from keras_pose.export.quiet import quiet


def points(one):
    """A line for each person of a refined.Refined who has an OKS."""
    return [
        {"poses": one.name, "person": sample.name, "before": round(b, 4), "after": round(a, 4)}
        for sample, b, a in zip(one.found.samples, *map(np.ndarray.tolist, one.oks()), strict=True)
        if np.isfinite(b)
    ]


def summary(rows) -> str:
    """Text: the means of each estimator's poses, and the share of those that got better."""
    lines = []
    for name in dict.fromkeys(row["poses"] for row in rows):
        before, after = pairs(rows, name)
        lines.append(
            f"{name}: mean OKS {before.mean():.3f} to {after.mean():.3f}, better in "
            f"{100 * np.mean(after > before):.1f} % of {len(before)} poses, worse in "
            f"{100 * np.mean(after < before):.1f} %"
        )
    return "\n".join(lines)


def pairs(rows, name):
    """OKS before and after of the poses of one estimator: two (N,)."""
    own = [row for row in rows if row["poses"] == name]
    return tuple(np.array([row[key] for row in own], float) for key in ("before", "after"))


def picture(rows, path):
    figure, ((plot,),) = trainings.plots(size=(5.5, 5.0))
    plot.plot([0, 1], [0, 1], "--", color="black", linewidth=0.8)
    for name in dict.fromkeys(row["poses"] for row in rows):
        plot.scatter(*pairs(rows, name), s=4, alpha=0.5, label=name)
    plot.set(xlabel="OKS of the input pose", ylabel="OKS of the refined pose")
    plot.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    plot.legend(markerscale=3)
    trainings.draw(figure, path)


def _check(given):
    """Raises PoseError for what --files cannot go with, and without data."""
    others = [n for n in ("model", "estimators", "limit", "smoke") if getattr(given, n)]
    if others:
        raise PoseError(
            "--files with --data alone",
            ", ".join(f"--{name}" for name in others),
            "Files hold what was refined already, and all of it is compared.",
        )
    if not given.data:
        raise PoseError(
            "--data, the COCO data that the files are of", "none", "Give it beside --files."
        )


@command_line
def main(arguments=None):
    parser = refined.parser(__doc__.splitlines()[0], "runs/posefix_smoke")
    parser.add_argument("--files", nargs=2, metavar=("BEFORE", "AFTER"), help="COCO results")
    given = parser.parse_args(arguments)
    with quiet():  # TensorFlow greets from C++
        from keras_pose.data.open import open_reader
        from keras_pose.training import coco
    if given.files:
        _check(given)
        reader = open_reader(given.data, "val", pictures=False)
        coco.metric(reader, "oks")
        found, results = [refined.of_files(*given.files, reader)], trainings.folder(given)
    else:
        refiner, estimators, reader, limit, results = refined.opened(given)
        found = list(refined.of_estimators(refiner, estimators, reader, limit))
        found = found or [refined.refined(refiner, reader, refined.DRAWN, limit=limit)]
    rows = [row for one in found for row in points(one)]
    if not rows:
        raise PoseError(
            "at least one person with an annotated key point that the poses have",
            f"none among {sum(len(one.found.samples) for one in found)}",
            "Take other data, or estimators that know more key points.",
        )
    print(summary(rows))
    table.write(results / "posefix_oks.csv", rows)
    picture(rows, results / "posefix_oks.png")


if __name__ == "__main__":
    main()
