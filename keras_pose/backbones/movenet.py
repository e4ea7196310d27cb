"""MoveNet's feature extractor: MobileNetV2 under a pyramid that brings coarse features to stride 4.

Its layers and widths were read off the published graph of MoveNet Lightning, whose weights
`keras_pose.export.movenet` takes over: what was published as a finished network can then be trained
further, on another skeleton and other pictures. Every separable convolution has its normalisation
behind both halves, so that the file's folded weights have a place.
"""

from keras import layers

from keras_pose.backbones import mobilenet_v2
from keras_pose.layers.blocks import upsample
from keras_pose.layers.norm import batch_norm

NAME, SLIM, SLIMMER = "movenet", "movenet_slim", "movenet_slimmer"
# of the trunk's end, where most of its weights are: the last convolution's channels, and factors of
# expansion. models.slimming makes each of those before it
ENDS = {
    NAME: (1280, {}),
    SLIM: (256, {14: 3, 15: 3, 16: 3}),
    SLIMMER: (128, {14: 2, 15: 2, 16: 2}),
}
# stride: the trunk's block that is read there, the width of the sum, the width behind it
_STEPS = {16: (9, 64, 32), 8: (5, 32, 24), 4: (2, 24, 24)}
_BESIDE = {16: 12, 8: 5}  # the trunk's last block at a stride, handed on beside the pyramid's
TOP = "fpn32"  # the pyramid's first convolution


def build(image, frozen_norm=False, name=NAME, maps=None) -> dict:
    """Levels by stride: 24 channels at 4, 56 at 8, 128 at 16 (the pyramid's and the trunk's, in
    this order) and the trunk's last at 32 (ENDS).

    image: (B, H, W, 3) float RGB 0..255, H and W multiples of 32. frozen_norm, maps:
    see `keras_pose.backbones.build`. name: one of ENDS.
    """
    after = mobilenet_v2.blocks(image, 1.0, frozen_norm, *ENDS[name], maps)
    levels = {32: after[mobilenet_v2.LAST]}
    x = _convolution(levels[32], _STEPS[16][1], TOP, frozen_norm)
    for stride, (block, width, out) in _STEPS.items():
        name = f"fpn{stride}"
        lateral = _convolution(after[block], width, f"{name}_lateral", frozen_norm)
        x = upsample(x, name=f"{name}_upsample")
        x = layers.Add(name=f"{name}_add")([x, lateral])
        x = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name=f"{name}_depthwise")(x)
        x = batch_norm(f"{name}_depthwise_BN", frozen_norm)(x)
        x = layers.ReLU(name=f"{name}_relu")(_convolution(x, out, name, frozen_norm))
        levels[stride] = x
    for stride, block in _BESIDE.items():
        both = [levels[stride], after[block]]
        levels[stride] = layers.Concatenate(name=f"fpn{stride}_join")(both)
    return levels


def stage(level) -> tuple[str, ...]:
    """Beginnings of the names of the layers behind the level before and up to this one: the trunk's
    for 32, the pyramid's for the finer ones, which come after it."""
    return (f"fpn{level}",) if level in _STEPS else mobilenet_v2.stage(level)


def pairs(name=NAME) -> list[tuple[str, str]]:
    """Names of all convolutions, each with the normalisation behind it: the trunk's first."""
    pyramid = [TOP]
    for stride in _STEPS:
        pyramid += [f"fpn{stride}_lateral", f"fpn{stride}_depthwise", f"fpn{stride}"]
    return [*mobilenet_v2.pairs(), *((x, f"{x}_BN") for x in pyramid)]


def _convolution(x, filters, name, frozen):
    x = layers.Conv2D(filters, 1, use_bias=False, name=name)(x)
    return batch_norm(f"{name}_BN", frozen)(x)
