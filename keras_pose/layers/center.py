"""What a Convolutional Pose Machine adds around its convolutions."""

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="keras_pose")
class CenterMap(keras.Layer):
    """A Gaussian in the middle of the network's input, on the grid of its input's features.

    Features (B, h, w, C) give (B, h, w, 1), the same for every picture: a crop shows its person in
    the middle. The Gaussian is drawn at the pixels of an input `stride` times as large, and
    averaged over windows of `window` pixels that begin `stride` apart, without padding (Wei et al.,
    2016, section 4.2, as released).

    sigma: pixels of the network's input.
    """

    def __init__(self, sigma=21.0, stride=8, window=9, **kwargs):
        super().__init__(**kwargs)
        self.sigma, self.stride, self.window = sigma, stride, window

    def build(self, input_shape):
        down, across = (self._axis(cells) for cells in input_shape[1:3])
        self.map = np.outer(down, across)[None, :, :, None].astype(np.float32)

    def call(self, features):
        made = ops.cast(self.map, self.compute_dtype)
        return ops.broadcast_to(made, (ops.shape(features)[0], *self.map.shape[1:]))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:3], 1)

    def get_config(self):
        own = {"sigma": self.sigma, "stride": self.stride, "window": self.window}
        return {**super().get_config(), **own}

    def _axis(self, cells):
        """The Gaussian is a product, and so is the mean over a window: one axis of it."""
        side = cells * self.stride
        bump = np.exp(-0.5 * ((np.arange(side) - (side - 1) / 2) / self.sigma) ** 2)
        starts = range(0, side, self.stride)
        return np.array([bump[i : i + self.window].mean() for i in starts])


@keras.saving.register_keras_serializable(package="keras_pose")
class FirstChannels(keras.Layer):
    """The first `count` channels: (B, h, w, C) to (B, h, w, count). The maps of the key points
    without that of the background."""

    def __init__(self, count, **kwargs):
        super().__init__(**kwargs)
        self.count = count

    def call(self, maps):
        return maps[..., : self.count]

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.count)

    def get_config(self):
        return {**super().get_config(), "count": self.count}
