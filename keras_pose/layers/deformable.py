"""Sampling from several feature maps at chosen places: the heart of (E)MSDA, Poseur equation 1.

All levels lie in one table, so that a layer samples with one gather. Around every map the table has
a border of zeros, one cell before and two behind; places beyond are moved into it. Bilinear
sampling with zeros outside then needs no masks, and no place can name a row that does not exist.

Symbols: B batch, Q queries, H heads, L levels, S points per level, C channels of a table's row.
"""

import keras
import numpy as np
from keras import layers, ops

_BEFORE, _BEHIND = 1, 2


def table(maps, parts=1, *, name):
    """Maps (B, h, w, C) of several levels as one table (B, rows x parts, C / parts) of cells.

    parts: 1 lets every head see all channels; the number of heads gives each its share of them.
    """
    flat = []
    for i, x in enumerate(maps):
        border = ((_BEFORE, _BEHIND), (_BEFORE, _BEHIND))
        x = layers.ZeroPadding2D(border, dtype=x.dtype, name=f"{name}{i}_border")(x)
        _, height, width, channels = x.shape
        shape = (height * width * parts, channels // parts)
        flat.append(layers.Reshape(shape, dtype=x.dtype, name=f"{name}{i}_flat")(x))
    if len(flat) == 1:
        return flat[0]
    return layers.Concatenate(axis=1, dtype=flat[0].dtype, name=f"{name}_join")(flat)


@keras.saving.register_keras_serializable(package="keras_pose")
class Sampling(keras.layers.Layer):
    """The weighted sum of bilinear samples around reference points: the bracket of equation 1.

    Inputs: offsets (B, Q, 2 H L S), in pixels of each level, all of x and then all of y, in the
    order head, level, point; logits (B, Q, H L S), of which a softmax over each head's L S samples
    makes the attention weights; reference points (B, Q, 2), normalised; a table (see `table`).
    Output: (B, Q, H, C), one sum of table rows per head.

    sizes: (height, width) of each level. heads, points: H and S. parts: as given to `table`.
    """

    def __init__(self, sizes, heads, points, parts=1, **kwargs):
        super().__init__(**kwargs)
        self.sizes = [tuple(int(n) for n in size) for size in sizes]
        self.heads, self.points, self.parts = heads, points, parts
        self._set_constants()

    def _set_constants(self):
        height, width = np.float32(self.sizes).T
        strides = width + _BEFORE + _BEHIND  # of the table's rows
        cells = strides * (height + _BEFORE + _BEHIND)
        starts = np.concatenate([[0], np.cumsum(cells)[:-1]])
        corners = np.stack([0 * strides, 0 * strides + 1, strides, strides + 1], axis=-1)

        def samples(levels):  # (..., L) to (..., H L S)
            each = np.repeat(levels, self.points, axis=-1)
            return np.tile(each, self.heads).astype(np.float32)

        part = np.repeat(np.arange(self.heads), len(self.sizes) * self.points)
        part = part if self.parts > 1 else 0 * part
        first = samples(starts) * self.parts + part
        corners = np.tile(np.repeat(corners, self.points, axis=0), (self.heads, 1)) * self.parts
        self._extent = samples(np.stack([width, height]))
        self._last = self._extent + _BEFORE
        self._steps = samples(np.stack([0 * strides + 1, strides])) * self.parts
        self._rows = (first[:, None] + corners).astype(np.float32)
        self.rows = int(cells.sum()) * self.parts

    def call(self, inputs):
        offsets, logits, reference, values = inputs
        queries, samples, each = offsets.shape[1], len(self._rows), len(self._rows) // self.heads
        # B and Q as one axis from here on: no tensor has more than four, as phone GPUs want it.
        # A pixel's centre lies at its index, the map begins _BEFORE cells into its border
        offsets = ops.reshape(offsets + (_BEFORE - 0.5), (-1, 2, samples))
        place = ops.reshape(reference, (-1, 2, 1)) * self._extent + offsets
        place = ops.minimum(ops.maximum(place, 0.0), self._last)
        cell = ops.floor(place)
        index = ops.expand_dims(ops.sum(cell * self._steps, axis=1), -1) + self._rows
        found = ops.reshape(self._take(values, index), (-1, each * 4, values.shape[-1]))
        mixed = ops.matmul(self._weights(place - cell, logits), found)
        return ops.reshape(mixed, (-1, queries, self.heads, values.shape[-1]))

    def _take(self, values, index):
        """Rows of the table, (B Q H L S 4, C). index: (B Q, H L S, 4) float, exact below 2^24."""
        batch, rows, channels = values.shape
        # the last step before the gather: what is not a number becomes an existing row too
        index = ops.minimum(ops.maximum(ops.cast(index, "int32"), 0), rows - 1)
        if batch != 1:
            pictures = ops.shape(values)[0]
            start = ops.expand_dims(ops.arange(pictures, dtype="int32") * rows, -1)
            index = ops.reshape(index, (pictures, -1)) + start
        return ops.take(ops.reshape(values, (-1, channels)), ops.reshape(index, (-1,)), axis=0)

    def _weights(self, fraction, logits):
        """Bilinear times attention weights, (B Q H, 1, L S 4); fraction: (B Q, 2, H L S)."""
        near = ops.stack([1.0 - fraction, fraction], axis=-1)
        corners = ops.expand_dims(near[:, 1], -1) * ops.expand_dims(near[:, 0], -2)
        each = fraction.shape[-1] // self.heads
        corners = ops.reshape(corners, (-1, each, 4))
        if each > 1:  # of a single sample it would be 1
            attention = ops.softmax(ops.reshape(logits, (-1, each)), axis=-1)
            corners = corners * ops.expand_dims(attention, -1)
        return ops.reshape(corners, (-1, 1, each * 4))

    def compute_output_shape(self, input_shape):
        offsets, _, _, values = input_shape
        return (*offsets[:2], self.heads, values[-1])

    def get_config(self):
        return {
            **super().get_config(), "sizes": self.sizes, "heads": self.heads,
            "points": self.points, "parts": self.parts,
        }  # fmt: skip


def ring(levels, heads, points):
    """Where the offsets start, (2 H L S,): head h looks in the direction 2 pi h / H, its point
    number s at s times the distance at which the larger coordinate is 1."""
    angles = 2 * np.pi * np.arange(heads) / heads
    direction = np.stack([np.cos(angles), np.sin(angles)])
    direction /= np.abs(direction).max(axis=0)
    distance = np.arange(1, points + 1)
    starts = direction[:, :, None, None] * np.ones((1, 1, levels, 1)) * distance
    return starts.astype(np.float32).reshape(-1)


@keras.saving.register_keras_serializable(package="keras_pose")
class HeadProjection(keras.layers.Layer):
    """W_i^v of equation 1 after the sampling: (B, Q, H, C) to (B, Q, C), C / H channels a head.

    In MSDA the same weights project every cell of every map; here only what was sampled.
    """

    def build(self, input_shape):
        heads, channels = input_shape[-2:]
        size = channels // heads
        limit = (6 / (channels + channels)) ** 0.5  # Xavier of the whole C x C matrix
        start = keras.initializers.RandomUniform(-limit, limit)
        self.matrix = self.add_weight(
            name="kernel", shape=(heads, channels, size), initializer=start
        )
        self.bias = self.add_weight(name="bias", shape=(channels,), initializer="zeros")

    def call(self, inputs):
        queries, heads, channels = inputs.shape[1:]
        by_head = ops.transpose(ops.reshape(inputs, (-1, heads, channels)), (1, 0, 2))
        mixed = ops.transpose(ops.matmul(by_head, self.matrix), (1, 0, 2))
        return ops.reshape(mixed, (-1, queries, channels)) + self.bias

    def compute_output_shape(self, input_shape):
        batch, queries, _, channels = input_shape
        return (batch, queries, channels)

    def multiply_adds(self, inputs, outputs):
        return outputs[0].shape[1] * int(np.prod(self.matrix.shape))
