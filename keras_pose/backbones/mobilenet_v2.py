"""MobileNetV2 (Sandler et al., 2018), with the layer names and the widths of keras.applications.

Stride 2 pads as "same" does. On the even sides that `backbones.check` demands, this is what Keras
writes as a padding layer of its own (nothing before, one zero after), in one operation less.
"""

import functools

import keras
from keras import layers

from keras_pose.backbones import beside
from keras_pose.errors import PoseError
from keras_pose.layers.norm import batch_norm

NAME = "mobilenet_v2"
ALPHAS = (0.35, 1.4)
_EXPANSION = 6
_EPSILON = 1e-3
# channels, repetitions and first stride of the inverted residual blocks, table 2 of the paper
_GROUPS = ((16, 1, 1), (24, 2, 2), (32, 3, 2), (64, 4, 2), (96, 3, 1), (160, 3, 2), (320, 1, 1))
_LEVELS = {2: 4, 5: 8, 12: 16}  # block to the stride that it is the last of
LAST = "last"
CONTRAST = 2.0  # of a normalised picture: black is -1, white is 1


def build(image, alpha=1.0, frozen_norm=False, maps=None) -> dict:
    """Levels by stride: 24 channels at 4, 32 at 8, 96 at 16, 1280 at 32 (with alpha 1).

    image: (B, H, W, 3) float RGB 0..255, H and W multiples of 32. frozen_norm, maps:
    see `keras_pose.backbones.build`. Raises PoseError for an alpha out of range.
    """
    after = blocks(image, alpha, frozen_norm, maps=maps)
    return {stride: after[block] for block, stride in _LEVELS.items()} | {32: after[LAST]}


def blocks(image, alpha=1.0, frozen_norm=False, last=1280, expansions=None, maps=None) -> dict:
    """Features behind every inverted residual block, by its number, and behind the convolution
    that comes last (LAST), of `last` channels. expansions: {block: factor} where it is not 6.
    Other arguments and errors as build's."""
    number = isinstance(alpha, int | float) and not isinstance(alpha, bool)
    if not number or not ALPHAS[0] <= alpha <= ALPHAS[1]:
        raise PoseError(
            f"an alpha from {ALPHAS[0]} to {ALPHAS[1]}",
            repr(alpha),
            "ImageNet weights exist for 0.35, 0.5, 0.75, 1.0, 1.3 and 1.4.",
        )
    norm = functools.partial(_norm, frozen=frozen_norm)
    x = layers.Rescaling(1 / 127.5, offset=-1.0, name="normalise")(image)
    x = beside.joined(x, maps)
    x = layers.Conv2D(
        _multiple(32 * alpha), 3, strides=2, padding="same", use_bias=False, name="Conv1"
    )(x)
    x = layers.ReLU(6.0, name="Conv1_relu")(beside.added(norm(x, "bn_Conv1"), maps))
    after = {}
    for channels, repetitions, first in _GROUPS:
        for i in range(repetitions):
            block, filters = len(after), _multiple(int(channels * alpha))
            wide = (expansions or {}).get(block, _EXPANSION) * x.shape[-1]
            after[block] = x = _inverted_residual(x, filters, 1 if i else first, block, norm, wide)
    last = max(last, _multiple(last * alpha))  # alpha makes it no narrower: section 5 of the paper
    x = layers.Conv2D(last, 1, use_bias=False, name="Conv_1")(x)
    after[LAST] = layers.ReLU(6.0, name="out_relu")(norm(x, "Conv_1_bn"))
    return after


def stage(level) -> tuple[str, ...]:
    """Beginnings of the names of the layers behind the level before and up to this one."""
    ends = dict(zip((2, *_LEVELS.values(), 32), (0, *_LEVELS, 16), strict=True))
    names = tuple(f"block_{block}_" for block in range(ends[level // 2] + 1, ends[level] + 1))
    return names if level < 32 else (*names, "Conv_1", "out_relu")


def pairs(name=NAME) -> list[tuple[str, str]]:
    """Names of all convolutions, each with the normalisation behind it, in the graph's order."""
    blocks = sum(repetitions for _, repetitions, _ in _GROUPS)
    inner = ["expanded_conv_depthwise", "expanded_conv_project"]
    for block in range(1, blocks):
        inner += [f"block_{block}_{part}" for part in ("expand", "depthwise", "project")]
    return [("Conv1", "bn_Conv1"), *((x, f"{x}_BN") for x in inner), ("Conv_1", "Conv_1_bn")]


def _norm(x, name, frozen):
    return batch_norm(name, frozen, _EPSILON)(x)


def _inverted_residual(x, filters, stride, block, norm, wide):
    name = f"block_{block}" if block else "expanded_conv"
    start = x
    if block:
        x = layers.Conv2D(wide, 1, padding="same", use_bias=False, name=f"{name}_expand")(x)
        x = layers.ReLU(6.0, name=f"{name}_expand_relu")(norm(x, f"{name}_expand_BN"))
    # Keras' own start divides by the channels too, although each is read alone: variances of a
    # thousandth, which moving statistics that begin at 1 take hundreds of steps to find
    start_of = keras.initializers.RandomNormal(stddev=(2 / 9) ** 0.5)
    x = layers.DepthwiseConv2D(
        3, strides=stride, padding="same", use_bias=False, depthwise_initializer=start_of,
        name=f"{name}_depthwise",
    )(x)  # fmt: skip
    x = layers.ReLU(6.0, name=f"{name}_depthwise_relu")(norm(x, f"{name}_depthwise_BN"))
    x = layers.Conv2D(filters, 1, padding="same", use_bias=False, name=f"{name}_project")(x)
    x = norm(x, f"{name}_project_BN")
    if stride == 1 and start.shape[-1] == filters:
        x = layers.Add(name=f"{name}_add")([start, x])
    return x


def _multiple(channels, of=8):
    """The nearest multiple of 8, but not below nine tenths of what was asked for."""
    rounded = max(of, int(channels + of / 2) // of * of)
    return rounded if rounded >= 0.9 * channels else rounded + of
