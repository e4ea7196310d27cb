"""Makes a network behind MoveNet's extractor smaller, which then may be trained a little more.

python train/slim.py runs/long/best.keras --data DIR --out slim.keras
python train/train.py repose_lite_m_lsp --data DIR --set network.weights=slim.keras
"""

import argparse
import itertools

import numpy as np

from keras_pose.backbones import movenet
from keras_pose.data import sheet
from keras_pose.data.batches import Loader
from keras_pose.data.open import open_reader
from keras_pose.errors import PoseError, command_line
from keras_pose.export.quiet import quiet
from keras_pose.training import recipe

_BATCH = 32


@command_line
def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "model", help="best.keras of a run with network.backbone=movenet, or one slimmed before"
    )
    parser.add_argument("--data", required=True, help="what it was trained on")
    parser.add_argument("--out", required=True, metavar="FILE.keras")
    parser.add_argument(
        "--to", choices=list(movenet.ENDS)[1:], default=movenet.SLIM, help="what to make of it"
    )
    parser.add_argument("--count", type=int, default=640, help="training crops to fit on")
    parser.add_argument(
        "--recipe", default="repose_lite_m_lsp", help="whose augmentation the crops get"
    )
    given = parser.parse_args(arguments)
    if given.count < 1:
        raise PoseError("a --count from 1", str(given.count), "Some hundred are enough.")
    if not given.out.endswith(".keras"):
        raise PoseError("--out FILE.keras", given.out, "Give it that ending.")

    with quiet():  # TensorFlow greets from C++
        from keras_pose.models import network
        from keras_pose.models.slimming import slim

        model = network.load(given.model)
    reader, like = open_reader(given.data, "train"), recipe.load(given.recipe)
    batch = min(_BATCH, len(reader))
    loader = Loader(
        reader, model.input_size, batch, like.augment, like.seed, crop_margin=like.crop_margin
    )
    crops = [crop for crop, _ in itertools.islice(sheet.pictures(loader), given.count)]
    crops = np.stack(crops).astype("float32")
    made = slim(model, crops, given.to)
    made.save(given.out)
    before, after = model.count_params(), made.count_params()
    print(f"wrote {given.out}: {after:,} of {before:,} weights, fitted on {len(crops)} crops")
    print(f"next: score it, and train it on with --set network.weights={given.out}")


if __name__ == "__main__":
    main()
