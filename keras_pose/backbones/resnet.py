"""ResNet-50, 101 and 152, version 1 with bottlenecks (He et al., 2016), in two dialects.

stride_in="3x3": the 3x3 convolution of a bottleneck halves the resolution, and pictures are
normalised by ImageNet's mean and deviation: torch's, and so the pose papers', network and counts.
stride_in="1x1": the 1x1 convolution before it does, and pictures only lose a mean: the network
that keras.applications has weights for. Its kernels want BGR; `backbones.weights` turns the first
kernel round when it loads them, so that the graph need not turn every picture.

Zeros are padded on both sides where the resolution is halved, as torch and Keras do here.
Layers are called as in keras.applications. No convolution has a bias: normalisation follows each.
"""

import functools

from keras import layers

from keras_pose.backbones import beside
from keras_pose.errors import PoseError
from keras_pose.layers.norm import batch_norm

BLOCKS = {"resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3), "resnet152": (3, 8, 36, 3)}
# RGB: name of the layer, (mean, deviation)
_PICTURES = {
    "3x3": ("normalise", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    "1x1": ("subtract_mean", (123.68, 116.779, 103.939), (1.0, 1.0, 1.0)),
}
_EPSILON = 1.001e-5  # Keras'; torch's is 1e-5


def build(name, image, stride_in="3x3", frozen_norm=False, maps=None) -> dict:
    """Levels by stride: 256 channels at 4, 512 at 8, 1024 at 16, 2048 at 32.

    name: a key of BLOCKS; image: (B, H, W, 3) float RGB 0..255, H and W multiples of 32.
    frozen_norm, maps: see `keras_pose.backbones.build`. Raises PoseError for an unknown stride_in.
    """
    if stride_in not in _PICTURES:
        raise PoseError(
            f"a stride_in among {tuple(_PICTURES)}",
            repr(stride_in),
            'Take "3x3" for the published network, "1x1" for Keras\' ImageNet weights.',
        )
    convolution = functools.partial(step, frozen=frozen_norm)
    x = beside.joined(normalised(image, stride_in), maps)
    x = convolution(x, 64, 7, 2, name="conv1", maps=maps)
    x = layers.ZeroPadding2D(1, name="pool1_pad")(x)  # behind a ReLU, where zero is the least
    x = layers.MaxPooling2D(3, strides=2, name="pool1_pool")(x)
    levels = {}
    for stage, blocks in enumerate(BLOCKS[name], start=2):
        for block in range(1, blocks + 1):
            stride = 2 if stage > 2 and block == 1 else 1
            x = bottleneck(
                x,
                2 ** (4 + stage),
                stride,
                stride_in,
                block == 1,
                frozen_norm,
                name=f"conv{stage}_block{block}",
            )
        levels[2**stage] = x
    return levels


def stage(level) -> tuple[str, ...]:
    """Beginnings of the names of the layers whose last writes a level: conv5's for 32."""
    return (f"conv{level.bit_length() - 1}_",)


def pairs(name) -> list[tuple[str, str]]:
    """Names of all convolutions, each with the normalisation behind it, in the graph's order."""
    names = ["conv1"]
    for stage, blocks in enumerate(BLOCKS[name], start=2):
        for block in range(1, blocks + 1):
            parts = (0, 1, 2, 3) if block == 1 else (1, 2, 3)
            names += [f"conv{stage}_block{block}_{part}" for part in parts]
    return [(f"{x}_conv", f"{x}_bn") for x in names]


def dialect(network) -> str | None:
    """The stride_in that a functional model's ResNet was built with, None where there is none."""
    names = {layer.name for layer in network.layers}
    found = [key for key, (layer, _, _) in _PICTURES.items() if {layer, "conv1_conv"} <= names]
    return found[0] if found else None


def contrast(stride_in="3x3") -> float:
    """How far apart black and white are in a normalised picture: in its green channel."""
    return 255.0 / _PICTURES[stride_in][2][1]


def normalised(image, stride_in="3x3"):
    """Pictures (B, H, W, 3) RGB 0..255 as a dialect wants them."""
    layer, mean, deviation = _PICTURES[stride_in]
    return layers.Rescaling(
        [1 / d for d in deviation],
        offset=[-m / d for m, d in zip(mean, deviation, strict=True)],
        name=layer,
    )(image)


def step(x, filters, kernel=1, stride=1, active=True, *, frozen, name, maps=None):
    """Convolution, normalisation, maps of that size (backbones.beside), where there are any, and,
    unless `active` is False, ReLU."""
    if kernel > 1 and stride > 1:  # "same" would pad only after the picture
        x = layers.ZeroPadding2D(kernel // 2, name=f"{name}_pad")(x)
    x = layers.Conv2D(
        filters,
        kernel,
        strides=stride,
        padding="valid" if stride > 1 else "same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)
    x = beside.added(batch_norm(f"{name}_bn", frozen, _EPSILON)(x), maps)
    return layers.ReLU(name=f"{name}_relu")(x) if active else x


def bottleneck(x, filters, stride, stride_in, project, frozen, *, name):
    """1x1, 3x3, 1x1 to four times the filters, added to the input (projected in a first block)."""
    convolution = functools.partial(step, frozen=frozen)
    start = x
    if project:
        start = convolution(x, 4 * filters, 1, stride, active=False, name=f"{name}_0")
    x = convolution(x, filters, 1, stride if stride_in == "1x1" else 1, name=f"{name}_1")
    x = convolution(x, filters, 3, stride if stride_in == "3x3" else 1, name=f"{name}_2")
    x = convolution(x, 4 * filters, active=False, name=f"{name}_3")
    return added(start, x, name=name)


def added(x, y, *, name):
    """The end of a residual block: its input and what it has made of it."""
    return layers.ReLU(name=f"{name}_out")(layers.Add(name=f"{name}_add")([x, y]))
