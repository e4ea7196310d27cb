"""CPMMobile: a Convolutional Pose Machine in a network that a phone can run.

What it keeps of CPM (Wei et al., 2016): stages at stride 8, each of which reads image features, the
beliefs of the stage before and a map that marks the middle of the crop; K + 1 maps; every stage is
supervised, the first one with everybody in the crop.

Where it departs, and why:
- convolution, normalisation, ReLU6 in this order and separable: normalisation folds into the
  convolution, int8 knows the range of what follows.
- one trunk for all stages, the first one included. Its features of stride 16 are joined to those of
  stride 8 and see all of the crop, where CPM's first stage sees 160 of 368 pixels.
- three stages: every further one would cost a sixth of the whole.
- beliefs are read by convolutions of their own, and added: the sum is what one convolution over
  both, side by side, would give, but int8 can give beliefs, which lie in 0..1, steps of their own.
- kernels of 5 x 5 in place of 11 x 11, for speed. After the trunk the whole crop is in sight
  anyway.
- residual blocks, whose sum keeps a stage's gradient as the intermediate supervision does.
"""

import keras
from keras import layers

from keras_pose import backbones
from keras_pose.errors import PoseError
from keras_pose.layers import lean
from keras_pose.layers.center import CenterMap
from keras_pose.models.beliefs import STRIDE, checked, network, stage_name, whole_numbers
from keras_pose.models.network import PoseNetwork

_DEEPEST = 16  # stride of the trunk's last features


def CPMMobile(
    skeleton="lsp14",
    stages=3,
    input_size=(192, 192),
    supervised="all",
    sigma=8.0,
    center_sigma=11.0,
    stem=24,
    channels=(48, 96, 160),
    blocks=(1, 2, 2),
    kernels=(5, 5),
    backbone=None,
    alpha=1.0,
    frozen_norm=False,
    others=8,
    weights=None,
) -> PoseNetwork:
    """A network of stages for phones; see the module for what it shares with CPM.

    Input: image (B, H, W, 3) float32 RGB 0..255. Outputs as CPM's: `stage1`, `stage2`, ...
    (B, H / 8, W / 8, K + 1), and `heatmaps` (B, H / 8, W / 8, K), which an int8 file computes.

    stages, supervised, sigma, center_sigma, others: as CPM's. stem: channels at stride 2; channels,
    blocks: width and number of residual blocks of the trunk at strides 4, 8 and 16; stages are as
    wide as stride 8. kernels: sides of the depthwise convolutions of a stage's residual blocks.
    backbone: name of one of keras_pose.backbones in place of the trunk, whose stem and blocks are
    then not looked at; the last two channels are what its levels 8 and 16 are brought to. alpha,
    frozen_norm: of the backbone, see `backbones.build`. weights: what to begin with, see `start`.

    Raises PoseError for arguments out of range, a backbone's ones without a backbone, sides that 16
    (or a backbone's strides) does not divide, and weights that do not fit.
    """
    arguments = dict(locals())
    skeleton, input_size = _checked(arguments)
    image = keras.Input((*input_size, 3), name="image")
    if backbone is None:
        *_, fine, coarse = lean.trunk(image, stem, channels, blocks)
    else:
        levels = backbones.build(backbone, image, alpha=alpha, frozen_norm=frozen_norm)
        fine, coarse = (
            lean.convolution(levels[s], c, name=f"stride{s}_lateral")
            for s, c in zip((STRIDE, _DEEPEST), channels[1:], strict=True)
        )
    features = lean.joined(coarse, fine, name="features")
    beliefs = [_stage(features, [], kernels, skeleton.count + 1, stage_name(1))]
    if stages > 1:
        center = CenterMap(center_sigma, STRIDE, name="center")(features)
    for number in range(2, stages + 1):
        read = [beliefs[-1], center]
        beliefs.append(_stage(features, read, kernels, skeleton.count + 1, stage_name(number)))
    # int8 would make neighbouring cells of a peak equal, and with them where it is
    floats = (f"{stage_name(stages)}_beliefs",)
    return network("CPMMobile", image, beliefs, skeleton, arguments, backbone, floats)


def _stage(features, read, kernels, maps, name):
    """One stage's maps. features: (B, h, w, C); read: what it is told beside them, none in the
    first."""
    x = features
    if read:
        width = features.shape[-1]
        said = layers.Concatenate(name=f"{name}_join")(read)
        said = lean.separable(said, width, kernels[0], active=False, name=f"{name}_read")
        own = lean.convolution(features, width, active=False, name=f"{name}_features")
        x = lean.add(own, said, name=f"{name}_both")
    for i, kernel in enumerate(kernels, 1):
        x = lean.residual(x, kernel, name=f"{name}_{i}")
    return layers.Conv2D(maps, 1, dtype="float32", name=f"{name}_beliefs")(x)


def _checked(arguments):
    """Refuses what cannot be built. Returns the skeleton and the input size."""
    skeleton, size = checked(arguments, stem=1)
    for name, least in (("channels", 1), ("blocks", 0)):
        values = dict(enumerate(arguments[name]))
        if len(values) != 3:
            raise PoseError(
                f"three numbers in {name}, of strides 4, 8 and 16",
                repr(arguments[name]),
                "Leave it out for the default.",
            )
        numbers = {f"{name}[{i}]": value for i, value in values.items()}
        whole_numbers(numbers, **dict.fromkeys(numbers, least))
        arguments[name] = list(values.values())
    if arguments["backbone"] is not None:
        backbones.check(arguments["backbone"], size, (STRIDE, _DEEPEST))
    elif arguments["alpha"] != 1.0 or arguments["frozen_norm"]:
        raise PoseError(
            "a backbone beside alpha and frozen_norm, which say how it is built",
            f"backbone=None, alpha={arguments['alpha']}, frozen_norm={arguments['frozen_norm']}",
            "Name a backbone, or leave them out.",
        )
    elif any(side % _DEEPEST for side in size):
        raise PoseError(
            f"an input whose sides are multiples of {_DEEPEST}",
            f"input_size={size}",
            "Take the next larger multiple.",
        )
    return skeleton, size
