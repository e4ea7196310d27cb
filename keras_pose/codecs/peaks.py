"""The highest cells of heatmaps and the values around them, written once for every backend.

Symbols: B batch, K key points, h x w the map's size, N = B K maps in that order. Columns and rows
come together, as (2, N): on numpy most of the time goes into the calls, so there are few. For the
same reason whatever depends on a cell alone is a table with an entry for each.
"""

import functools

import numpy as np

from keras_pose.codecs import xp as shim


class Peaks:
    """The highest cell of each map: the first in reading order where several are equal.

    xp: see codecs.xp; maps: (B, h, w, K); codec: the heatmap codec that they are of.
    value: (N,) the highest value; cell: (2, N) its column and row; place: the same as float32.
    """

    def __init__(self, xp, maps, codec):
        self.xp, self.codec, self.count = xp, codec, maps.shape[-1]
        self.maps, self.value, self.cell = xp.highest(maps)
        self.place = xp.cast(self.cell, "float32")

    @property
    def inner(self):
        """The nearest cell with neighbours on all sides, (2, N) float32: mostly the same one."""
        last = _last_inner(*self.codec.map_size)
        return self.xp.maximum(self.xp.minimum(self.place, last), 1.0)

    @functools.cached_property
    def around(self):
        """The 3 x 3 values around the inner cell, (N, 3, 3)."""
        return self.window(1, 1)

    @functools.cached_property
    def mass(self):
        """How much of the key points the cells hold, (B, h, w K): the codec's `density`."""
        h, w = self.codec.map_size
        lines = self.xp.reshape(self.maps, (-1, h, w * self.count))  # numpy likes them long
        top = self.xp.reshape(self.value, (-1, self.count))
        return self.codec.density(self.xp, lines, self.xp.tile(top, (1, w))[:, None])

    def window(self, across, down):
        """The values up to `across` columns and `down` rows away, (N, 2 down + 1, 2 across + 1).

        A window that would leave the map is moved inside, see `first`.
        """
        xp, (h, w), count = self.xp, self.codec.map_size, self.count
        n, m = 2 * down + 1, 2 * across + 1
        columns, rows, offsets = _window(h, w, across, down, count, xp.index)
        steps = xp.take(columns, self.cell[0]) + xp.take(rows, self.cell[1])
        corner = steps + shim.begins(xp, self.maps)
        index = corner[:, None] + offsets
        values = xp.reshape(xp.take(xp.reshape(self.maps, (-1,)), index), (-1, n, m))
        return xp.finite(values)


@functools.cache
def _last_inner(h, w):
    """The last column and row but one, (2, 1)."""
    return np.array([[w - 2], [h - 2]], np.float32)


def first(size, reach):
    """Where the window of 2 reach + 1 cells around each of `size` along an axis begins, (size,).

    Windows that would leave the map are moved inside.
    """
    return (np.arange(size) - reach).clip(0, size - 1 - 2 * reach)


@functools.cache
def _window(h, w, across, down, count, dtype):
    """Steps in the flattened maps: to the window of each column (w,), of each row (h,), and from
    its corner to its cells."""
    cells = np.arange(2 * down + 1)[:, None] * w + np.arange(2 * across + 1)
    steps = first(w, across), first(h, down) * w, cells.reshape(-1)
    return tuple((count * each).astype(dtype) for each in steps)
