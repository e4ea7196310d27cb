"""Heatmap codecs: a Gaussian bump per key point, as plain maps or as a distribution over cells.

Symbols: B batch, K key points, h x w the map's size, H x W the network's input.
Key points are (x, y) normalised to 0..1 (see keras_pose.geometry); maps are (B, h, w, K).

Both codecs find a map's highest cell and go on from there with one of codecs.decoding.DECODERS.
The default, "fit", makes decode(encode(x)) exact up to rounding, also for points in the outermost
cells. Where cells lie in the picture is in codecs.grid.
"""

import dataclasses
import functools
from typing import ClassVar

import numpy as np

from keras_pose.codecs import decoding, grid
from keras_pose.codecs import xp as shim
from keras_pose.codecs.peaks import Peaks, first
from keras_pose.errors import PoseError


@dataclasses.dataclass(frozen=True)
class Heatmap:
    """What the two codecs share: sizes, geometry, the Gaussian, and the way back from it.

    input_size: (H, W) pixels; map_size: (h, w) cells, at least 3 each;
    sigma: the Gaussian's standard deviation in pixels of the network's input;
    decoder: "fit", "argmax", "quarter", "dark" or "soft", see codecs.decoding;
    unbiased: UDP's geometry (codecs.grid), in `encode` and `decode`.
    """

    input_size: tuple[int, int]
    map_size: tuple[int, int]
    sigma: float
    decoder: str = "fit"
    unbiased: bool = False
    kind: ClassVar[str]
    head: ClassVar[str] = "heatmaps"

    def __post_init__(self):
        for name in ("input_size", "map_size"):
            object.__setattr__(self, name, tuple(int(v) for v in getattr(self, name)))
        if self.decoder not in decoding.DECODERS:
            raise PoseError(
                f"a decoder among {sorted(decoding.DECODERS)}",
                repr(self.decoder),
                'Leave it out for "fit".',
            )
        smallest = 2 if self.unbiased else 1  # of a single pixel all cells would lie in one place
        if min(self.map_size) < 3 or min(self.input_size) < smallest or not self.sigma > 0:
            raise PoseError(
                "maps of at least 3 x 3 cells and a positive sigma",
                f"input_size={self.input_size}, map_size={self.map_size}, sigma={self.sigma}",
                "Give a larger input size or a positive sigma in input pixels.",
            )

    def head_shape(self, count: int) -> tuple[int, ...]:
        """Shape of the tensor that `decode` reads, without the batch."""
        return (*self.map_size, count)

    def to_dict(self) -> dict:
        """What `codecs.from_dict` reads; a decoder or geometry that is the default is left out."""
        values = dataclasses.asdict(self)
        for field in dataclasses.fields(self):
            if field.default is not dataclasses.MISSING and values[field.name] == field.default:
                del values[field.name]
        return {"kind": self.kind, **values}

    def with_decoder(self, decoder: str):
        """The same codec with another decoder: no network needs to be trained again for it.

        Raises PoseError for an unknown name.
        """
        return dataclasses.replace(self, decoder=decoder)

    def decode(self, maps):
        """Key points and scores. maps: (B, h, w, K), for the softmax codec logits.

        Returns (B, K, 2) normalised, inside the picture, and (B, K), 0..1. The score does not
        depend on the decoder. NaN never comes out: numpy takes it for an empty cell, and in a
        graph a map with NaN in it has any cell of it, with a low score from the softmax codec.
        Raises PoseError for maps of another size.
        """
        if tuple(maps.shape[1:3]) != self.map_size:
            raise PoseError(
                f"maps (B, h, w, K) of {self.map_size} cells",
                f"shape {tuple(maps.shape)}",
                "Give the codec the network's own map_size.",
            )
        xp, count = shim.of(maps), maps.shape[-1]
        peaks = Peaks(xp, maps, self)
        scale, start = self.axes
        found = _unit(xp, (decoding.DECODERS[self.decoder](peaks) - start) / scale)
        keypoints = xp.transpose(xp.reshape(found, (2, -1, count)), (1, 2, 0))
        return keypoints, xp.reshape(_unit(xp, self._score(peaks)), (-1, count))

    @property
    def spread(self):
        """Sigma in cells, along x and y."""
        return grid.spread(self.sigma, self.input_size, self.map_size, self.unbiased)

    @property
    def axes(self):
        """scale and start, (2, 1) each for x and y: normalised u is at cell u * scale + start."""
        return grid.axes(self.input_size, self.map_size, self.unbiased)

    def _log_gaussian(self, xp, keypoints):
        """(B, K, h, w): the logarithm of each key point's bump, 0 at its centre."""
        (h, w), (sx, sy) = self.map_size, self.spread
        (scale_x, scale_y), (start_x, start_y) = self.axes
        x = keypoints[..., 0:1] * scale_x + start_x
        y = keypoints[..., 1:2] * scale_y + start_y
        across = -0.5 * ((np.arange(w, dtype=np.float32) - x) / sx) ** 2
        down = -0.5 * ((np.arange(h, dtype=np.float32) - y) / sy) ** 2
        return xp.expand_dims(down, -1) + xp.expand_dims(across, -2)


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

    @staticmethod
    def density(xp, values, top):
        """What the cells hold of a key point: the map as it is."""
        return values

    def heat(self, maps):
        """What a key point's score would be if its peak lay in each cell, (B, h, w, K), 0..1."""
        return _unit(shim.of(maps), maps)

    def logs(self, peaks):
        """The logarithm around the peaks, (N, 3, 3)."""
        xp = peaks.xp
        floor = xp.maximum(peaks.value * self._FLOOR, 1e-12)
        return xp.log(xp.maximum(peaks.around, floor[:, None, None]))

    def _score(self, peaks):
        return peaks.value


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

    @staticmethod
    def density(xp, values, top):
        """What the cells hold of a key point: their probability, as a part of the highest one."""
        return xp.exp(values - top)

    def heat(self, maps):
        """What a key point's score would be if its peak lay in each cell, (B, h, w, K), 0..1."""
        xp, (h, w), count = shim.of(maps), self.map_size, maps.shape[-1]
        maps, top, _ = xp.highest(maps)
        mass = self.density(xp, maps, xp.reshape(top, (-1, 1, 1, count)))
        total = xp.reshape(xp.sum(xp.sum(mass, axis=1), axis=1), (-1, 1, 1, count))
        by_map = xp.transpose(mass, (0, 3, 1, 2))
        around = xp.matmul(xp.matmul(_windows(h), by_map), _windows(w).T)
        around = xp.transpose(around, (0, 2, 3, 1))
        return _unit(xp, around / (xp.maximum(total, 1e-30) * _perfect(self.spread)))

    def logs(self, peaks):
        """The logarithm around the peaks, (N, 3, 3), up to a constant of each map."""
        return peaks.around

    def _score(self, peaks):
        xp = peaks.xp
        columns = xp.reshape(xp.sum(peaks.mass, axis=1), (-1, self.map_size[1], peaks.count))
        total = xp.reshape(xp.sum(columns, axis=1), (-1,))
        total = xp.where(total > 0, total, shim.LARGEST)  # of NaN
        around = self.density(xp, peaks.around, peaks.value[:, None, None])
        inside = xp.sum(xp.reshape(around, (-1, 9)), axis=-1)
        return inside / (total * _perfect(self.spread))


@functools.cache
def _perfect(spread):
    """The probability that a target centred on a cell has in its 3 x 3 window."""
    mass = 1.0
    for sigma in spread:
        bump = np.exp(-0.5 * (np.arange(-50, 51) / sigma) ** 2)
        mass *= bump[49:52].sum() / bump.sum()
    return float(mass)


@functools.cache
def _windows(size):
    """(size, size): which cells along an axis are in the window of three around each."""
    begin = first(size, 1)[:, None]
    cells = np.arange(size)
    return ((cells >= begin) & (cells <= begin + 2)).astype(np.float32)


def _unit(xp, x):
    return xp.minimum(xp.maximum(x, 0.0), 1.0)  # np.clip takes several times as long
