"""A normalizing flow over the plane: how errors are really distributed, learned beside a network.

RealNVP (Dinh et al., 2017) in the size that residual log-likelihood estimation uses (Li et al.,
2021, section 3.3). It exists in training only.
"""

import itertools
import math

import keras
import numpy as np
from keras import ops

_GAIN = 0.01  # of the first weights: the flow starts as good as the identity
_SLOPE = 0.01  # of the leaky ReLUs


@keras.saving.register_keras_serializable(package="keras_pose")
class RealNVP(keras.Layer):
    """Affine coupling layers: an invertible map of the plane with a known change of area.

    Each layer moves one coordinate, z = (x - shift(other)) exp(-scale(other)), and the next one the
    other coordinate. Scale and shift are nets 2-width-width-2 of the point with the moved
    coordinate set to 0; a scale ends in tanh, so that one layer stretches by a factor of e at most.

    couplings, width: 6 and 64 make 53,784 parameters. N points.
    """

    def __init__(self, couplings=6, width=64, **kwargs):
        super().__init__(**kwargs)
        self.couplings, self.width = couplings, width

    def build(self, input_shape=None):
        sizes = (2, self.width, self.width, 2)
        self.kernels, self.biases = [], []
        for i, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
            # both nets of all couplings in one array, for few and large operations; Keras' own
            # Glorot initializer would take the first two axes for those of a convolution
            limit = _GAIN * math.sqrt(6 / (fan_in + fan_out))
            self.kernels.append(
                self.add_weight(
                    name=f"kernel{i}",
                    shape=(self.couplings, 2, fan_in, fan_out),
                    initializer=keras.initializers.RandomUniform(-limit, limit),
                )
            )
            self.biases.append(
                self.add_weight(
                    name=f"bias{i}", shape=(self.couplings, 2, 1, fan_out), initializer="zeros"
                )
            )

    def call(self, x):
        """From errors to the normal distribution. x: (N, 2).

        Returns z (N, 2) and log |det dz/dx| (N,).
        """
        area = 0.0
        for i in range(self.couplings):
            kept, moved = self._masks(i)
            scale, shift = self._nets(i, x * kept)
            x = x * kept + moved * (x - shift) * ops.exp(-scale)
            area = area - ops.sum(moved * scale, axis=-1)
        return x, area

    def inverse(self, z):
        """From the normal distribution to errors. z: (N, 2); returns x (N, 2)."""
        for i in reversed(range(self.couplings)):
            kept, moved = self._masks(i)
            scale, shift = self._nets(i, z * kept)
            z = z * kept + moved * (z * ops.exp(scale) + shift)
        return z

    def log_prob(self, x):
        """Logarithm of the density of errors. x: (N, 2); returns (N,)."""
        z, area = self(x)
        return area - 0.5 * ops.sum(ops.square(z), axis=-1) - math.log(2 * math.pi)

    def _masks(self, i):
        """Which coordinate coupling i keeps, and which it moves."""
        kept = np.eye(2, dtype=self.compute_dtype)[(i + 1) % 2]
        return kept, 1 - kept

    def _nets(self, i, x):
        """Scale and shift of coupling i, (N, 2) each."""
        for j in range(3):
            x = ops.matmul(x, self.kernels[j][i]) + self.biases[j][i]
            x = ops.leaky_relu(x, _SLOPE) if j < 2 else x
        return ops.tanh(x[0]), x[1]

    def get_config(self):
        return {**super().get_config(), "couplings": self.couplings, "width": self.width}
