"""RePose's convolutional blocks (section 3.1): convolution with bias, ReLU, then normalisation.

The paper writes (kernel, stride, filters)^repetitions, and a subscript u where the normalisation
is left out. Because ReLU stands before it, batch normalisation does not fold into the block's own
convolution when exported: RePoseLite turns the order round.
"""

from keras import layers


def conv_block(x, filters, kernel=3, stride=1, *, name):
    """(kernel, stride, filters): x (B, H, W, C) to (B, H / stride, W / stride, filters)."""
    x = layers.Conv2D(
        filters, kernel, strides=stride, padding="same", activation="relu", name=f"{name}_conv"
    )(x)
    return layers.BatchNormalization(name=f"{name}_norm")(x)


def series(x, filters, count, *, name):
    """(3, 1, filters)^count."""
    for i in range(1, count + 1):
        x = conv_block(x, filters, name=f"{name}_{i}")
    return x


def heatmap_block(x, count, *, name):
    """(3, 1, count)_u: `count` heatmaps, float32 whatever the dtype policy, never negative."""
    return layers.Conv2D(
        count, 3, padding="same", activation="relu", dtype="float32", name=f"{name}_heatmaps"
    )(x)


def upsample(x, *, name):
    """Twice the height and width, bilinear."""
    return layers.UpSampling2D(2, interpolation="bilinear", name=name)(x)
