"""Guided points, Graph-PCNN section 3.1: where they are drawn, and what maps hold there.

Points are (x, y) in cells of the map, a cell's centre at its integer index, and stay between the
outer cells' centres, 0..w - 1 and 0..h - 1. Distances are in sigmas, the target Gaussian's along
each axis. Symbols: B batch, N points per key point, K key points, C channels, h x w the map's size.
"""

import math

import keras
import numpy as np
from keras import ops

from keras_pose import codecs
from keras_pose.errors import PoseError
from keras_pose.layers.deformable import Sampling

NEAR = 3.0  # sigmas: nearer points are positive (equation 6)
RELIABLE = 2.0  # sigmas: nearer neighbours are heard in training (equation 12)
_CELLS_PER_POINT = 16
_TRIES = 8


def default_count(map_size) -> int:
    """N where nobody says it: a sixteenth of the cells, at least 1.

    These are the paper's 48, 192 and 432 at 128x96, 256x192 and 384x288 with maps of stride 4.
    """
    return max(1, math.prod(map_size) // _CELLS_PER_POINT)


def shares(count, proportion) -> tuple[int, ...]:
    """`count` points divided in this proportion; what does not come out even goes to the kinds
    that miss most, the first ones where several miss as much.

    Raises PoseError for what is no proportion of three kinds.
    """
    parts = list(proportion) if isinstance(proportion, list | tuple) else []
    numbers = [p for p in parts if isinstance(p, int | float) and math.isfinite(p) and p >= 0]
    if len(numbers) != 3 or len(parts) != 3 or not sum(numbers) > 0:
        raise PoseError(
            "a proportion of three numbers from 0, not all 0: near the truth, far, high response",
            repr(proportion),
            "Write it like (1, 1, 1), or (1, 2, 0) for near and far points alone.",
        )
    exact = [count * p / sum(numbers) for p in numbers]
    made = [math.floor(e) for e in exact]
    for i in sorted(range(3), key=lambda i: made[i] - exact[i])[: count - sum(made)]:
        made[i] += 1
    return tuple(made)


def to_cells(codec, points):
    """Normalised points (..., 2) in cells of a heatmap codec's maps."""
    scale, start = _axes(codec)
    return points * scale + start


def from_cells(codec, points):
    """The inverse of `to_cells`."""
    scale, start = _axes(codec)
    return (points - start) / scale


def squared_distance(codec, points, truth):
    """Of points (..., 2) from the truth, both in cells, in sigmas squared."""
    return ops.sum(ops.square((points - truth) / np.float32(codec.spread)), axis=-1)


def _axes(codec):
    return (each[:, 0] for each in codec.axes)


def _last(codec):
    """The last cell, (x, y)."""
    return np.float32(codec.map_size[::-1]) - 1


@keras.saving.register_keras_serializable(package="keras_pose")
class StagePeak(keras.layers.Layer):
    """Stage 1's answer as points to refine (section 3.4, testing).

    Input: maps (B, h, w, K). Outputs: points (B, 1, K, 2), the peaks with a quarter offset; heat
    (B, K), the codec's score of them, 0..1; reliable (B, K), 1 where heat is above the threshold.

    codec: the maps', or the dict that describes it. threshold: xi of equation 12.
    """

    def __init__(self, codec, threshold, **kwargs):
        super().__init__(**kwargs)
        self.codec, self.threshold = codecs.get(codec).with_decoder("quarter"), threshold

    def call(self, maps):
        keypoints, heat = self.codec.decode(maps)
        points = ops.clip(to_cells(self.codec, keypoints), 0.0, _last(self.codec))
        return ops.expand_dims(points, 1), heat, ops.cast(heat > self.threshold, heat.dtype)

    def compute_output_shape(self, input_shape):
        batch, count = input_shape[0], input_shape[-1]
        return (batch, 1, count, 2), (batch, count), (batch, count)

    def get_config(self):
        return {
            **super().get_config(), "codec": self.codec.to_dict(), "threshold": self.threshold
        }  # fmt: skip


@keras.saving.register_keras_serializable(package="keras_pose")
class AtPoints(keras.layers.Layer):
    """Bilinear samples of maps at points.

    Inputs: points (B, N, K, 2); a table (layers.deformable.table). Output: (B, N, K, C), of the
    table of one map (B, h, w, C). own: the table's maps are K, in as many parts, and each key point
    reads its own: (B, N, K).

    map_size: (h, w).
    """

    def __init__(self, map_size, own=False, **kwargs):
        super().__init__(**kwargs)
        self.map_size, self.own = tuple(int(n) for n in map_size), own

    def build(self, input_shape):
        count = input_shape[0][2]
        parts = count if self.own else 1
        self.sampling = Sampling([self.map_size], count, 1, parts, dtype=self.dtype_policy)
        self.sampling.build(None)

    def call(self, inputs):
        points, values = inputs
        batch, count = points.shape[1:3]
        # a sample is an offset from the reference 0, the map's edge, half a cell before its first
        offsets = ops.reshape(ops.transpose(points + 0.5, (0, 1, 3, 2)), (-1, batch, 2 * count))
        edge, equal = ops.zeros_like(points[:, :, 0]), ops.zeros_like(points[..., 0])
        found = self.sampling([offsets, equal, edge, values])
        return ops.reshape(found, (-1, batch, count)) if self.own else found

    def compute_output_shape(self, input_shape):
        points, values = input_shape
        return points[:3] if self.own else (*points[:3], values[-1])

    def get_config(self):
        return {**super().get_config(), "map_size": self.map_size, "own": self.own}


@keras.saving.register_keras_serializable(package="keras_pose")
class MovedPoints(keras.layers.Layer):
    """Equation 5: points (B, 1, K, 2) and offsets (B, K, 2), both in cells, and heat (B, K) to
    (B, K, 3): x and y, normalised, and the heat as their score."""

    def __init__(self, codec, **kwargs):
        super().__init__(**kwargs)
        self.codec = codecs.get(codec)

    def call(self, inputs):
        points, offsets, heat = inputs
        found = from_cells(self.codec, points[:, 0] + offsets)
        return ops.concatenate([found, ops.expand_dims(heat, -1)], axis=-1)

    def compute_output_shape(self, input_shape):
        return (*input_shape[1][:2], 3)

    def get_config(self):
        return {**super().get_config(), "codec": self.codec.to_dict()}


class GuidedPoints(keras.layers.Layer):
    """Draws the points that stage 2 is taught on, for each key point its own.

    Inputs: truth (B, K, 2), in cells, where it is known; known (B, K), 0 or 1; heat (B, h, w, K).
    Output: points (B, N, K, 2), without a gradient. Three kinds: near the truth, uniform in the
    disc of 3 sigma; far, uniform outside it; and cells among the N of highest heat, none twice.
    None leaves the map, so a disc at the border is what of it is inside. On a map that the disc
    covers, far points are in the corner furthest from the truth; what counts as positive is decided
    by distance, not by kind. A key point whose truth is not known gets points around the middle.

    codec: of the maps. count: N. proportion: relative numbers of the three kinds. shuffle: the
    points of each key point are mixed, so that graph n joins different kinds (section 3.4); without
    it the kinds come one after the other (GPR-vc).

    Raises PoseError for more points than cells, and for what is no proportion.
    """

    def __init__(self, codec, count, proportion=(1, 1, 1), shuffle=True, seed=None, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})
        cells = math.prod(codec.map_size)
        if type(count) is not int or not 1 <= count <= cells:
            raise PoseError(
                f"guided points as a whole number from 1 to the map's {cells} cells",
                repr(count),
                "Leave it out for a sixteenth of the cells.",
            )
        self.codec, self.count, self.shuffle = codec, count, shuffle
        self.kinds = shares(count, proportion)
        self.seed = keras.random.SeedGenerator(seed)

    def call(self, truth, known, heat):
        last = _last(self.codec)
        centre = ops.where(known[..., None] > 0, truth, last / 2)[:, :, None]  # (B, K, 1, 2)
        reach = NEAR * np.float32(self.codec.spread)
        low, high = (ops.clip(centre + sign * reach, 0.0, last) for sign in (-1, 1))
        corner = ops.where(centre < last / 2, last, 0.0)
        draws = (
            lambda n: self._within(centre, low, high, n, True, ops.clip(centre, 0.0, last)),
            lambda n: self._within(centre, 0.0 * low, 0.0 * low + last, n, False, corner),
            lambda n: self._top(heat, n),
        )
        points = [draw(n) for draw, n in zip(draws, self.kinds, strict=True) if n]
        points = ops.concatenate(points, axis=2)  # (B, K, N, 2)
        if self.shuffle:
            order = ops.argsort(self._lot(points[..., 0]), axis=-1)
            points = ops.take_along_axis(points, ops.expand_dims(order, -1), axis=2)
        return ops.stop_gradient(ops.transpose(points, (0, 2, 1, 3)))

    def _within(self, centre, low, high, count, near, otherwise):
        """`count` points (B, K, count, 2), uniform in what a box has inside the disc (`near`) or
        outside it: the first of several draws that is there, or `otherwise` a point that is there
        if any is."""
        low, high, centre = (ops.expand_dims(x, 3) for x in (low, high, centre))
        size = (*ops.shape(centre)[:2], count, _TRIES, 2)
        drawn = low + (high - low) * keras.random.uniform(size, seed=self.seed)
        inside = squared_distance(self.codec, drawn, centre) < NEAR**2
        fits = ops.cast(inside if near else ops.logical_not(inside), "int32")
        first = ops.expand_dims(ops.argmax(fits, axis=-1), (-2, -1))
        chosen = ops.take_along_axis(drawn, first, axis=3)[:, :, :, 0]
        return ops.where(ops.max(fits, axis=-1, keepdims=True) > 0, chosen, otherwise)

    def _top(self, heat, count):
        """`count` of the N cells of highest heat, (B, K, count, 2)."""
        h, w = self.codec.map_size
        by_map = ops.reshape(ops.transpose(heat, (0, 3, 1, 2)), (-1, heat.shape[-1], h * w))
        cells = ops.top_k(by_map, self.count)[1]
        lot = ops.top_k(self._lot(cells), count)[1]
        cells = ops.cast(ops.take_along_axis(cells, lot, axis=-1), "int32")
        place = ops.stack([cells % w, cells // w], axis=-1)
        return ops.cast(place, "float32")

    def _lot(self, like):
        return keras.random.uniform(ops.shape(like), seed=self.seed)
