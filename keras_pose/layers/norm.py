"""Batch normalisation as the papers' frameworks have it."""

from keras import layers

# a moving statistic forgets a tenth per step: Keras' 0.99 and MobileNetV2's 0.999 would leave a run
# of a few hundred steps with statistics of weights that are long gone
MOMENTUM = 0.9


def batch_norm(name, frozen=False, epsilon=1e-3, dtype=None):
    """A BatchNormalization layer; `frozen`: it keeps its statistics, scale and shift."""
    return layers.BatchNormalization(
        momentum=MOMENTUM, epsilon=epsilon, trainable=not frozen, name=name, dtype=dtype
    )
