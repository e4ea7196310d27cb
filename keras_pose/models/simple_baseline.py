"""SimpleBaseline (Xiao et al., 2018): a backbone and a few transposed convolutions behind it."""

import keras
from keras import layers

from keras_pose import backbones
from keras_pose.errors import PoseError
from keras_pose.layers.norm import batch_norm
from keras_pose.models import heatmaps
from keras_pose.models.network import PoseNetwork

_EPSILON = 1e-5
_HEAD = "deconv"


def SimpleBaseline(
    skeleton="coco17",
    input_size=(256, 192),
    backbone="resnet50",
    alpha=1.0,
    stride_in="3x3",
    frozen_norm=False,
    weights=None,
    level=32,
    deconvolutions=3,
    filters=256,
    kernel=4,
    loss="mse",
    sigma=8.0,
    decoder="fit",
    unbiased=False,
) -> PoseNetwork:
    """A network of heatmaps as published (section 2); the defaults are the paper's base model.

    Input: image (B, H, W, 3) float32 RGB 0..255. Output, K = key points of the skeleton:
    `heatmaps` (B, H / s, W / s, K), with s = level / 2^deconvolutions, 4 in the paper.

    backbone, alpha, stride_in, frozen_norm: see keras_pose.backbones. weights: what to begin with,
    see keras_pose.models.start. level: stride of the backbone's map that is read; "movenet", whose
    pyramid carries coarse features to fine maps, is meant to be read at 16 or less.
    deconvolutions: how many transposed convolutions of stride 2 (table 2, a and b), each with
    normalisation and ReLU; filters, kernel: of each (table 2, c and d); a kernel of 4 covers every
    cell equally often. loss: "mse" (the paper's Gaussians) or "softmax" (maps are logits over the
    cells). sigma: in input pixels; 2 cells in the paper. decoder, unbiased: of the codec, see
    keras_pose.codecs.heatmap; the paper decodes with "quarter".

    Raises PoseError for a level that the backbone lacks, sides that its strides do not divide,
    more transposed convolutions than lead back to the picture's size, weights that do not fit, and
    choices that do not exist.
    """
    arguments = dict(locals())
    skeleton, input_size = heatmaps.checked(arguments)
    backbones.check(backbone, input_size, [level])
    refuse(level, deconvolutions, filters, kernel)

    image = keras.Input((*input_size, 3), name="image")
    levels = backbones.build(
        backbone, image, alpha=alpha, stride_in=stride_in, frozen_norm=frozen_norm
    )
    x = enlarged(levels[level], deconvolutions, filters, kernel)
    stage = (*backbones.last_stage(backbone, level), _HEAD)
    return heatmaps.network("SimpleBaseline", image, x, skeleton, arguments, backbone, stage)


def enlarged(x, count, filters=256, kernel=4, *, name=_HEAD):
    """`count` transposed convolutions of stride 2: (B, h, w, C) to (B, 2^count h, 2^count w,
    filters). The layers' names begin with `name`."""
    for i in range(1, count + 1):
        x = layers.Conv2DTranspose(
            filters, kernel, strides=2, padding="same", use_bias=False, name=f"{name}{i}_conv"
        )(x)
        x = layers.ReLU(name=f"{name}{i}_relu")(batch_norm(f"{name}{i}_bn", epsilon=_EPSILON)(x))
    return x


def refuse(level, deconvolutions, filters, kernel):
    """Raises PoseError for an enlargement that cannot be, and one beyond the picture's own size."""
    for name, value, least in (
        ("deconvolutions", deconvolutions, 0), ("filters", filters, 1), ("kernel", kernel, 2)
    ):  # fmt: skip
        if type(value) is not int or value < least:
            raise PoseError(f"{name} as a whole number from {least}", repr(value), "Change it.")
    if 2**deconvolutions > level:
        raise PoseError(
            f"at most {level.bit_length() - 1} deconvolutions from stride {level}",
            repr(deconvolutions),
            "Each doubles the size; beyond the picture's own there is nothing to see.",
        )
