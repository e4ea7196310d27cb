"""Trains a recipe.

python train/train.py repose_lite_figures --out runs/figures
python train/train.py repose_lite_lsp --data DIR [--out DIR] [--set a.b=c] [--smoke] [--resume]
"""

import argparse

from keras_pose.errors import PoseError, command_line
from keras_pose.export.quiet import quiet


@command_line
def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", help="a name in train/recipes, or a .py file like those")
    parser.add_argument("--data", help="folder of labelled pictures (default: the recipe's)")
    parser.add_argument("--out", help="folder of the run (default: runs/RECIPE)")
    parser.add_argument("--set", action="append", default=[], metavar="a.b=c", dest="overrides")
    parser.add_argument("--smoke", action="store_true", help="two minutes of the same code path")
    parser.add_argument(
        "--gradients", type=int, default=0, metavar="N",
        help="histograms of gradients to TensorBoard every N steps",
    )  # fmt: skip
    parser.add_argument("--resume", action="store_true", help="go on with the run in --out")
    arguments = parser.parse_args()

    with quiet():  # TensorFlow greets from C++
        from keras_pose.training import gradients, run, strategy
        from keras_pose.training import recipe as recipes

        strategy.choose()  # TensorFlow looks for GPUs, and complains where there is none

    recipe = recipes.load(arguments.recipe, arguments.overrides)
    data = arguments.data or recipe.data
    if not data:
        raise PoseError(
            "--data DIR, a folder of labelled pictures",
            f"none, and recipe {recipe.name} has no data of its own",
            "docs/train-on-your-data.md lists the layouts that are read.",
        )
    recipe = recipe.smoke() if arguments.smoke else recipe
    watches = [gradients.Histograms(arguments.gradients)] if arguments.gradients > 0 else []
    out = arguments.out or f"runs/{recipe.name}"
    best = run.train(recipe, data, out, arguments.resume, watches=watches)
    print(f"\nbest network: {best}\nnext: python train/evaluate.py {best} --data {data}")


if __name__ == "__main__":
    main()
