"""Draws a sheet of augmented samples with their key points: look at it before training.

python train/browse.py RECIPE --data DIR --out sheet.png [--split val] [--count 24] [--set a.b=c]
python train/browse.py RECIPE --data DIR --out poses.png --poses [--count 6]

--poses shows what a refiner learns from: a row of each person's ground truth, an input pose drawn
from it, and every key point good, jittered, inverted, swapped and missed. The recipe's errors are
in it, what is intact and what stands in are not.
"""

import argparse
from pathlib import Path

import cv2

from keras_pose.data import Loader, open_reader, pose_sheet
from keras_pose.data.sheet import sheet
from keras_pose.errors import PoseError, command_line
from keras_pose.training import recipe as recipes


@command_line
def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", help="a name of train/recipes, or a Python file")
    parser.add_argument("--data", help='LSP or COCO folder, or "figures"; default: the recipe\'s')
    parser.add_argument("--out", default="sheet.png", help="picture to write")
    parser.add_argument("--split", default="train", choices=("train", "val"))
    parser.add_argument("--count", type=int, help="samples on the sheet; default: 24, poses 6")
    parser.add_argument("--epoch", type=int, default=0, help="each epoch draws other changes")
    parser.add_argument("--plain", action="store_true", help="crops without augmentation")
    parser.add_argument("--poses", action="store_true", help="a refiner's input poses, plain crops")
    parser.add_argument("--set", action="append", default=[], metavar="a.b=c", dest="overrides")
    options = parser.parse_args(arguments)

    recipe = recipes.load(options.recipe, options.overrides)
    reader = open_reader(options.data or recipe.data, options.split)
    if recipe.reach:
        recipe.build(reader.skeleton, start=False)  # refuses it where training does
    loader = Loader(
        reader,
        recipe.input_size,
        min(8, len(reader)),
        None if options.plain else recipe.augment,
        recipe.seed,
        crop_margin=recipe.crop_margin,
        reach=recipe.reach,
    )
    if options.poses:
        picture = pose_sheet.sheet(
            reader,
            recipe.input_size,
            loader.order(options.epoch),
            options.count or 6,
            recipe.seed,
            options.epoch,
            recipe.crop_margin,
            recipe.errors,
        )
    else:
        picture = sheet(loader, options.count or 24, epoch=options.epoch)
    out = Path(options.out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        written = cv2.imwrite(str(out), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    except (OSError, cv2.error):
        written = False
    if not written:
        raise PoseError("a picture file that can be written", str(out), "Give --out sheet.png.")
    print(f"{len(reader)} persons, {reader.skeleton.name}; wrote {out}")
    if reader.skips.count:
        print(reader.skips.summary())


if __name__ == "__main__":
    main()
