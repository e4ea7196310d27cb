"""A pose as maps that a network can read beside its picture."""

import keras
import numpy as np
from keras import ops

_AWAY = -100.0  # pictures: where nothing of a map is left


@keras.saving.register_keras_serializable(package="keras_pose")
class PoseMaps(keras.layers.Layer):
    """Poses (B, K, 3), x and y normalised and 1 or 0 for there is one or not, to maps
    (B, H / stride, W / stride, K).

    Each key point is a Gaussian in its map (PoseFix, Moon et al., 2019, equation 1) or, fine, a
    single cell, split linearly among the four that it lies between. A map is empty where there is
    no key point, whatever its x and y hold, and shows of one beyond the picture what reaches in. A
    map is the product of a row and a column, so an H x W map costs H + W exponentials.

    size: (H, W) pixels of the picture; sigma: of the Gaussian, in its pixels; peak: the largest
    value; stride: side of a cell in pixels, which has to divide both sides.
    """

    def __init__(self, size, sigma=7.0, peak=1.0, stride=1, fine=False, **kwargs):
        super().__init__(**kwargs)
        self.size, self.sigma, self.peak = tuple(size), sigma, peak
        self.stride, self.fine = stride, fine

    def call(self, poses):
        there = poses[..., 2:] > 0  # not a product: x and y of others may be no numbers
        place = ops.where(there, poses[..., :2], _AWAY)
        height, width = (side // self.stride for side in self.size)
        down = self._line(place[:, None, :, 1], height) * self.peak
        across = self._line(place[:, None, :, 0], width)
        return ops.expand_dims(down, 2) * ops.expand_dims(across, 1)

    def _line(self, place, cells):
        """Normalised places (B, 1, K) to (B, cells, K)."""
        centres = np.arange(cells, dtype=np.float32)[:, None] + 0.5
        apart = place * float(cells) - centres
        if self.fine:
            return ops.maximum(1.0 - ops.abs(apart), 0.0)
        return ops.exp(ops.square(apart * (self.stride / self.sigma)) * -0.5)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], *(side // self.stride for side in self.size), input_shape[1])

    def get_config(self):
        names = ("size", "sigma", "peak", "stride", "fine")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
