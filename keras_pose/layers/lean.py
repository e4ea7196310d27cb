"""The blocks of networks for phones: convolution, normalisation, ReLU6 in this order.

Normalisation folds into the convolution before it, and int8 knows the range of what follows.
Symbols: B batch, H x W the network's input, h x w a map's size, C channels.
"""

import keras
from keras import layers

from keras_pose.layers.blocks import upsample

_MOMENTUM = 0.97  # a training of a few hundred steps must leave usable moving statistics


def trunk(image, stem, channels, blocks):
    """Features at strides 4, 8, 16 and on of image (B, H, W, 3), RGB 0..255.

    stem: channels at stride 2; channels, blocks: width and number of residual blocks at each
    stride, as many as there are levels. Returns a list of maps (B, h, w, C).
    """
    x = layers.Rescaling(1 / 255, name="normalise")(image)  # no offset: folds into the stem
    x = convolution(x, stem, 3, 2, name="stem")
    levels = []
    for i, (width, count) in enumerate(zip(channels, blocks, strict=True)):
        name = f"stride{4 * 2**i}"
        down = convolution if i == 0 else separable  # few channels: the plain one is as cheap
        x = down(x, width, 3 if i == 0 else 5, 2, name=f"{name}_down")
        for j in range(1, count + 1):
            x = residual(x, name=f"{name}_{j}")
        levels.append(x)
    return levels


def convolution(x, filters, kernel=1, stride=1, active=True, *, name):
    """(B, h, w, C) to (B, h / stride, w / stride, filters); active: with ReLU6."""
    x = layers.Conv2D(
        filters, kernel, strides=stride, padding="same", use_bias=False, name=f"{name}_conv"
    )(x)
    return normalised(x, active, name=name)


def separable(x, filters, kernel, stride=1, active=True, *, name):
    """Nothing between its halves: a normalisation there would cost more than either in training."""
    x = layers.DepthwiseConv2D(
        kernel, strides=stride, padding="same", use_bias=False, name=f"{name}_depthwise"
    )(x)
    return convolution(x, filters, active=active, name=name)


def residual(x, kernel=5, *, name):
    """x and what a separable convolution makes of it."""
    return add(x, separable(x, x.shape[-1], kernel, active=False, name=name), name=name)


def joined(coarse, fine, *, name):
    """Adds features of half the resolution to fine (B, h, w, C)."""
    x = convolution(coarse, fine.shape[-1], active=False, name=name)
    return add(fine, upsample(x, name=f"{name}_upsample"), name=name)


def normalised(x, active=True, scale=1.0, *, name):
    """scale: what the normalisation's own begins with."""
    x = layers.BatchNormalization(
        momentum=_MOMENTUM,
        gamma_initializer=keras.initializers.Constant(scale),
        name=f"{name}_norm",
    )(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(x) if active else x


def add(x, y, *, name):
    """The sum of two maps of one shape, with ReLU6."""
    return layers.ReLU(6.0, name=f"{name}_relu")(layers.Add(name=f"{name}_add")([x, y]))
