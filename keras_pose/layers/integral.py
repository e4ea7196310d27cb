"""From maps to one place in each: the mean of the distribution that it stands for, or its peak."""

import keras
import numpy as np
from keras import ops

from keras_pose import codecs


@keras.saving.register_keras_serializable(package="keras_pose")
class SoftArgmax(keras.Layer):
    """Logits (B, h, w, K) to the mean places (B, K, 2) of their softmax over the cells, normalised.

    Integral regression (Sun et al., 2018, section 2): differentiable, and never outside the outmost
    cells' centres. Equal logits give the middle of the map.
    """

    def call(self, logits):
        _, height, width, count = logits.shape
        by_map = ops.transpose(ops.reshape(logits, (-1, height * width, count)), (0, 2, 1))
        return ops.matmul(ops.softmax(by_map, axis=-1), _centres(height, width))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[3], 2)

    def multiply_adds(self, inputs, outputs):
        return 2 * int(np.prod(inputs[0].shape[1:]))


@keras.saving.register_keras_serializable(package="keras_pose")
class HeatmapPeaks(keras.Layer):
    """Maps (B, h, w, K) to the key points (B, K, 2) that their codec reads in them, normalised.

    codec: the maps', or the dict that describes it.
    """

    def __init__(self, codec, **kwargs):
        super().__init__(**kwargs)
        self.codec = codecs.get(codec)

    def call(self, maps):
        return self.codec.decode(maps)[0]

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[3], 2)

    def multiply_adds(self, inputs, outputs):
        return 0

    def get_config(self):
        return {**super().get_config(), "codec": self.codec.to_dict()}


def _centres(height, width):
    """(height width, 2): x and y of every cell's centre, in reading order."""
    x, y = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
    return np.stack([x.ravel(), y.ravel()], axis=-1).astype(np.float32)
