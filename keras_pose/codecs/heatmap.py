"""Heatmap codecs: a Gaussian bump per key point, as plain maps or as a distribution over cells.

Symbols: B batch, K key points, h x w the map's size, H x W the network's input.
Key points are (x, y) normalised to 0..1 (see keras_pose.geometry); maps are (B, h, w, K).

Both codecs decode by the same rule: the highest cell, then a quadratic fitted by least squares to
the logarithm of the 3 x 3 cells around it. A Gaussian's logarithm is a quadratic, so
decode(encode(x)) is exact up to rounding, also for points in the outermost cells (the window is
moved inside the map, not padded). The fitted point is kept within the highest cell.
"""

import dataclasses
from typing import ClassVar

import numpy as np

from keras_pose.codecs import xp as shim
from keras_pose.errors import PoseError

_WINDOW = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]


@dataclasses.dataclass(frozen=True)
class Heatmap:
    """What the two codecs share: sizes, the Gaussian, and the search for its peak.

    input_size: (H, W) pixels; map_size: (h, w) cells, at least 3 each;
    sigma: the Gaussian's standard deviation in pixels of the network's input.
    """

    input_size: tuple[int, int]
    map_size: tuple[int, int]
    sigma: float
    kind: ClassVar[str]
    head: ClassVar[str] = "heatmaps"

    def __post_init__(self):
        for name in ("input_size", "map_size"):
            object.__setattr__(self, name, tuple(int(v) for v in getattr(self, name)))
        if min(self.map_size) < 3 or min(self.input_size) < 1 or not self.sigma > 0:
            raise PoseError(
                "maps of at least 3 x 3 cells and a positive sigma",
                f"input_size={self.input_size}, map_size={self.map_size}, sigma={self.sigma}",
                "Give a larger input size or a positive sigma in input pixels.",
            )

    def head_shape(self, count: int) -> tuple[int, ...]:
        """Shape of the tensor that `decode` reads, without the batch."""
        return (*self.map_size, count)

    def to_dict(self) -> dict:
        return {"kind": self.kind, **dataclasses.asdict(self)}

    def _deviations(self):
        """Sigma in cells, along x and y."""
        (height, width), (h, w) = self.input_size, self.map_size
        return self.sigma * w / width, self.sigma * h / height

    def _log_gaussian(self, xp, keypoints):
        """(B, K, h, w): the logarithm of each key point's bump, 0 at its centre."""
        (h, w), (sx, sy) = self.map_size, self._deviations()
        x = keypoints[..., 0:1] * w - 0.5
        y = keypoints[..., 1:2] * h - 0.5
        across = -0.5 * ((np.arange(w, dtype=np.float32) - x) / sx) ** 2
        down = -0.5 * ((np.arange(h, dtype=np.float32) - y) / sy) ** 2
        return xp.expand_dims(down, -1) + xp.expand_dims(across, -2)

    def _peaks(self, xp, maps):
        """Highest cells and the windows around them.

        Returns the maps as (B, K, h w), the cells (column, row) as float (B, K) each, the window's
        centre likewise, and the window's indices into the flattened maps, (B, K, 9).
        """
        h, w = self.map_size
        count = maps.shape[-1]
        rows = xp.reshape(xp.transpose(maps, (0, 3, 1, 2)), (-1, count, h * w))
        # integers in one dimension: Keras makes a bias_add of an addition to (1, K), and TFLite has
        # none for integers
        cell = xp.reshape(xp.argmax(rows), (-1,))
        row = xp.floor_divide(cell, w)
        column = cell - row * w
        row_in, column_in = xp.clip(row, 1, h - 2), xp.clip(column, 1, w - 2)
        steps = np.array([dy * w + dx for dy, dx in _WINDOW], np.int32)
        start = row_in * w + column_in + self._row_starts(xp, rows, count)
        index = xp.reshape(xp.expand_dims(start, -1) + steps, (-1, count, len(_WINDOW)))
        floats = [
            xp.reshape(xp.cast(v, "float32"), (-1, count)) for v in (column, row, column_in, row_in)
        ]
        return rows, floats, index

    def _row_starts(self, xp, rows, count):
        """Where each of the B K maps begins in the flattened array, (B K,) int32."""
        batch = xp.shape(rows)[0]
        if isinstance(batch, int):
            starts = np.arange(batch * count, dtype=np.int32)
        else:
            from keras import ops

            starts = ops.arange(batch * count, dtype="int32")
        return starts * (self.map_size[0] * self.map_size[1])

    def _refine(self, xp, log_window, floats):
        """Fits the quadratic. log_window: (B, K, 9). Returns normalised (B, K, 2)."""
        column, row, column_in, row_in = floats
        h, w = self.map_size
        x = self._fit(xp, log_window, column_in, column, [dx for _, dx in _WINDOW])
        y = self._fit(xp, log_window, row_in, row, [dy for dy, _ in _WINDOW])
        return xp.stack([(x + 0.5) / w, (y + 0.5) / h], axis=-1)

    @staticmethod
    def _fit(xp, log_window, centre, peak, offsets):
        slope_weights = np.array(offsets, np.float32) / 6
        bend_weights = np.array([1 if o else -2 for o in offsets], np.float32) / 3
        slope = xp.sum(log_window * slope_weights, axis=-1)
        bend = xp.sum(log_window * bend_weights, axis=-1)
        # a window that is flat or bends upwards has no peak: stay at the highest cell
        curved = bend < -1e-6
        vertex = centre - slope / xp.where(curved, bend, -1.0)
        vertex = xp.where(curved, vertex, peak)
        return xp.maximum(xp.minimum(vertex, peak + 0.5), peak - 0.5)


class GaussianHeatmap(Heatmap):
    """Unnormalised Gaussians (RePose section 3): the network's maps are compared by MSE.

    A key point's score is its map's highest value, cut to 0..1.
    """

    kind = "gaussian"
    _FLOOR = 1e-4  # of the peak: what the logarithm sees in empty cells

    def encode(self, keypoints, visible):
        """Training targets. keypoints: (B, K, 2) normalised; visible: (B, K) in {0, 1}.

        Returns (B, h, w, K) float32; the map of a key point that is not visible is empty.
        """
        xp = shim.of(keypoints)
        maps = xp.exp(self._log_gaussian(xp, xp.array(keypoints)))
        visible = xp.expand_dims(xp.expand_dims(xp.array(visible), -1), -1)
        return xp.transpose(maps * visible, (0, 2, 3, 1))

    def decode(self, maps):
        """Key points and scores. maps: (B, h, w, K); returns (B, K, 2) normalised and (B, K)."""
        xp = shim.of(maps)
        rows, floats, index = self._peaks(xp, maps)
        window = xp.take(xp.reshape(rows, (-1,)), index)
        peak = xp.max(rows, axis=-1)
        floor = xp.maximum(peak * self._FLOOR, 1e-12)
        logs = xp.log(xp.maximum(window, xp.expand_dims(floor, -1)))
        return self._refine(xp, logs, floats), xp.clip(peak, 0.0, 1.0)


class SoftmaxHeatmap(Heatmap):
    """One distribution over all cells per key point: the network's maps are its logits.

    The target is the Gaussian normalised to sum 1, or the uniform distribution where there is
    nothing to find, so that a crop without a person teaches flat maps. A key point's score is the
    probability inside the 3 x 3 window, relative to what a perfect map has there, cut to 0..1.
    """

    kind = "softmax"

    def encode(self, keypoints, visible):
        """Training targets. keypoints: (B, K, 2) normalised; visible: (B, K) in {0, 1}.

        Returns (B, h, w, K) float32, each map summing to 1.
        """
        xp = shim.of(keypoints)
        h, w = self.map_size
        maps = xp.exp(self._log_gaussian(xp, xp.array(keypoints)))
        total = xp.sum(xp.sum(maps, axis=-1), axis=-1)
        visible = xp.where(total > 1e-6, xp.array(visible), 0.0)
        maps = maps / xp.expand_dims(xp.expand_dims(xp.maximum(total, 1e-6), -1), -1)
        visible = xp.expand_dims(xp.expand_dims(visible, -1), -1)
        return xp.transpose(maps * visible + (1.0 - visible) / (h * w), (0, 2, 3, 1))

    def decode(self, maps):
        """Key points and scores. maps: (B, h, w, K) logits; returns (B, K, 2) and (B, K)."""
        xp = shim.of(maps)
        rows, floats, index = self._peaks(xp, maps)
        window = xp.take(xp.reshape(rows, (-1,)), index)
        peak = xp.expand_dims(xp.max(rows, axis=-1), -1)
        total = xp.sum(xp.exp(rows - peak), axis=-1)
        inside = xp.sum(xp.exp(window - peak), axis=-1) / total
        return self._refine(xp, window, floats), xp.clip(inside / self._perfect(), 0.0, 1.0)

    def _perfect(self):
        """The probability that a target centred on a cell has in its 3 x 3 window."""
        mass = 1.0
        for sigma in self._deviations():
            bump = np.exp(-0.5 * (np.arange(-50, 51) / sigma) ** 2)
            mass *= bump[49:52].sum() / bump.sum()
        return float(mass)
