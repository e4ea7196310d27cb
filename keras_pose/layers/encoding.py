"""Sine encodings of places (Vaswani et al., 2017; Poseur's supplement, section 7)."""

import keras
import numpy as np
from keras import ops

_TEMPERATURE = 10000.0


@keras.saving.register_keras_serializable(package="keras_pose")
class SineEncoding(keras.layers.Layer):
    """Normalised points (B, Q, 2) to (B, Q, channels).

    PE(pos, 2i) = sin(pos / 10000^(2i/d)), PE(pos, 2i + 1) = cos(of the same), pos = 2 pi x
    coordinate, d = channels / 2; x's half first, then y's.
    """

    def __init__(self, channels, **kwargs):
        super().__init__(**kwargs)
        self.channels = channels

    def call(self, points):
        frequencies, phases = _waves(self.channels)
        angles = ops.expand_dims(points, -1) * frequencies + phases
        return ops.reshape(ops.sin(angles), (-1, points.shape[1], self.channels))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.channels)

    def get_config(self):
        return {**super().get_config(), "channels": self.channels}


@keras.saving.register_keras_serializable(package="keras_pose")
class GridEncoding(keras.layers.Layer):
    """Adds to a map (B, h, w, C) the sine encoding of each cell's centre and a learned vector (C,)
    that tells the map's level from the others."""

    def build(self, input_shape):
        start = keras.initializers.RandomNormal(stddev=1.0)
        self.level = self.add_weight(name="level", shape=input_shape[-1:], initializer=start)
        self.grid = grid(*input_shape[1:])

    def call(self, inputs):
        return inputs + ops.cast(self.grid, inputs.dtype) + self.level

    def compute_output_shape(self, input_shape):
        return input_shape


def grid(height, width, channels):
    """(height, width, channels) float32: the sine encoding of the cells' centres, (i + 0.5) / n."""
    frequencies, phases = _waves(channels)
    x, y = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
    angles = np.stack([x, y], axis=-1)[..., None] * frequencies + phases
    return np.sin(angles).astype(np.float32).reshape(height, width, channels)


def _waves(channels):
    """Frequencies and phases, (channels / 2,) each: a cosine is a sine a quarter turn ahead, so
    that a graph needs one operation for both."""
    half = channels // 2
    exponents = 2 * (np.arange(half) // 2) / half
    frequencies = 2 * np.pi / _TEMPERATURE**exponents
    return frequencies.astype(np.float32), np.float32(np.pi / 2) * (np.arange(half) % 2)
