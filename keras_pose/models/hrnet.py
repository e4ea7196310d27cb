"""HRNet (Sun et al., 2019): key points from the finest of four resolutions side by side.

The trunk is keras_pose.backbones.hrnet, which other networks may have too, under the names
"hrnet_w32" and "hrnet_w48". Of its last exchange only the sum for the finest branch remains here,
as published: nothing reads the others.
"""

import keras

from keras_pose import backbones
from keras_pose.backbones import hrnet
from keras_pose.models import heatmaps
from keras_pose.models.network import PoseNetwork


def HRNet(
    width=32,
    skeleton="coco17",
    input_size=(256, 192),
    modules=hrnet.MODULES,
    blocks=hrnet.BLOCKS,
    bottlenecks=hrnet.BOTTLENECKS,
    frozen_norm=False,
    weights=None,
    loss="mse",
    sigma=8.0,
    decoder="fit",
    unbiased=False,
) -> PoseNetwork:
    """HRNet-W32 as published, or with width 48 the larger one.

    Input: image (B, H, W, 3) float32 RGB 0..255. Output, K = key points of the skeleton:
    `heatmaps` (B, H / 4, W / 4, K).

    width: channels of the finest branch; each coarser one has twice as many. modules: of the three
    stages behind the stem; blocks: of each branch in a module; bottlenecks: of the stem; all at
    most the published numbers. weights: a `.keras` of an HRNet built alike, "backbone:FILE.keras"
    for the trunk alone, or its convolutions with normalisation folded in (`.npz`, with
    frozen_norm); keras.applications has none. loss, sigma, decoder, unbiased: as in
    SimpleBaseline; the paper decodes with "quarter".

    Raises PoseError for numbers out of range, sides that 32 does not divide, weights that do not
    fit, and choices that do not exist.
    """
    arguments = dict(locals())
    skeleton, input_size = heatmaps.checked(arguments)
    name = next((n for n, w in hrnet.WIDTHS.items() if w == width), next(iter(hrnet.WIDTHS)))
    finest, *_ = backbones.STRIDES
    backbones.check(name, input_size, [finest])

    image = keras.Input((*input_size, 3), name="image")
    levels = hrnet.build(image, width, modules, blocks, bottlenecks, frozen_norm)
    arguments["modules"] = list(modules)
    stage = backbones.last_stage(name, finest)
    return heatmaps.network("HRNet", image, levels[finest], skeleton, arguments, name, stage)
