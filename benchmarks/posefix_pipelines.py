"""PoseFix's pipelines, coarse or fine poses in and out (its figure 6), each trained alike.

    python benchmarks/posefix_pipelines.py --data DIR [--estimators A B C] [--set a.b=c] [--smoke]

Trains --recipe once for each of --pipelines (keras_pose.models.PoseFix says what they are) and
scores it on drawn errors and on what each estimator says of the validation persons. Writes
posefix_pipelines.csv and .png. Runs lie in --out, and go on when called again.
"""

import refined
import table
import trainings

from keras_pose.errors import PoseError, command_line

PIPELINES = ("F2F", "C2F", "C2F-LC", "C2F-LH", "C2C")  # in the figure's order


def check(recipe):
    """Raises PoseError for a recipe of another network than PoseFix."""
    if recipe.builder != "PoseFix":
        raise PoseError(
            "a recipe of PoseFix, as posefix_mobile_lsp",
            f"{recipe.name}, a {recipe.builder}",
            "Choose another --recipe.",
        )


def lines(pipeline, best, reader, estimated, recipe):
    """Rows of the table: drawn errors, and each estimator's poses, refined by one pipeline.

    estimated: {name: (poses, names of the key points that they have)}, see refined.estimated.
    """
    from keras_pose.training import evaluate

    refiner = evaluate.open_model(best)
    found = [refined.refined(refiner, reader, refined.DRAWN, limit=recipe.validate)]
    for name, (poses, only) in estimated.items():
        found.append(refined.refined(refiner, reader, name, poses, only, limit=recipe.validate))
    for one in found:
        yield {
            "pipeline": pipeline, "poses": one.name, "recipe": recipe.name,
            "epochs": recipe.epochs, **one.pck(), "minutes": trainings.minutes(best),
        }  # fmt: skip


def picture(rows, path):
    """A group of bars for each kind of poses, a bar for each pipeline, and a line before them."""
    names, done = ([*dict.fromkeys(row[key] for row in rows)] for key in ("poses", "pipeline"))
    width = 0.8 / len(done)
    figure, ((plot,),) = trainings.plots(size=(max(5.5, 1.8 * len(names)), 4.0))
    for n, pipeline in enumerate(done):
        own = {row["poses"]: row["pck@0.1"] for row in rows if row["pipeline"] == pipeline}
        places = [m + (n - (len(done) - 1) / 2) * width for m in range(len(names))]
        plot.bar(places, [own[name] for name in names], 0.9 * width, label=pipeline)
    for m, name in enumerate(names):
        before = next(row["before_pck@0.1"] for row in rows if row["poses"] == name)
        plot.plot([m - 0.45, m + 0.45], [before] * 2, "--", color="black", linewidth=0.8)
    plot.set_xticks(range(len(names)), names, fontsize=8)
    plot.set(ylabel="PCK@0.1, % (dashed: before)")
    plot.legend(fontsize=7)
    trainings.draw(figure, path)


@command_line
def main(arguments=None):
    parser = trainings.parser(__doc__.splitlines()[0], "runs/posefix_pipelines", trainings.POSEFIX)
    parser.add_argument("--pipelines", nargs="+", choices=PIPELINES, default=list(PIPELINES))
    parser.add_argument("--estimators", nargs="+", default=[], metavar="MODEL")
    given = parser.parse_args(arguments)
    recipe, data, out, results = trainings.opened(given)
    check(recipe)
    from keras_pose.data.open import open_reader

    reader = open_reader(data, "val")
    names = refined.named(given.estimators)
    estimated = {n: refined.estimated(m, reader, recipe.validate)[:2] for n, m in names.items()}
    rows = []
    recipes = {p: trainings.changed(recipe, {"pipeline": p}) for p in given.pipelines}
    for pipeline, own in recipes.items():
        trainings.check(own, reader.skeleton, out / pipeline)
    for pipeline, own in recipes.items():
        best = trainings.trained(own, data, out / pipeline)
        rows += lines(pipeline, best, reader, estimated, own)
        print(f"{pipeline}: {rows[-1]['pck@0.1']} PCK@0.1 of {rows[-1]['poses']}")
    table.write_with_command(results / "posefix_pipelines.csv", rows, __file__)
    picture(rows, results / "posefix_pipelines.png")


if __name__ == "__main__":
    main()
