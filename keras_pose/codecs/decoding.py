"""From a heatmap's highest cell to a point between cells: the field's decoders, and this project's.

A decoder takes the `Peaks` of N maps and returns columns and rows, (2, N), in cells: a cell's
centre is at its integer index. A map without a peak, flat or bending upwards around its highest
cell, keeps that cell; only `soft` looks at the whole map.
"""

import functools
import math

import numpy as np

from keras_pose.codecs.peaks import first
from keras_pose.codecs.xp import LARGEST

_EMPTY = 1e-10  # what DARK's logarithm sees in cells without any; peaks are near 1
_TINY = 1e-30
_FLAT = 1e-9  # of a second derivative or a determinant of them
_REACH = 2.0  # cells that DARK's step may lead away, along either axis

# sums over 3 x 3 values in reading order
_X, _Y = np.tile((-1, 0, 1), 3), np.repeat((-1, 0, 1), 3)
_SLOPES = [_X * (_Y == 0) / 2, _Y * (_X == 0) / 2]  # along x, y, by central differences
_BENDS = [(3 * _X**2 - 2) * (_Y == 0), (3 * _Y**2 - 2) * (_X == 0)]
_TAYLOR = np.array([*_SLOPES, *_SLOPES[::-1], *_BENDS[::-1], _X * _Y / 4], np.float32)
# of the quadratic that fits all nine values best
_FITTED = np.array([_X / 6, _Y / 6, _X**2 - 2 / 3, _Y**2 - 2 / 3], np.float32)


def argmax(peaks):
    """The highest cell."""
    return peaks.place


def quarter(peaks):
    """A quarter of a cell from the highest towards its higher neighbour, along x and along y.

    Where both are equal, or the border has only one, it stays in the middle of that axis.
    """
    xp = peaks.xp
    across, down = peaks.window(1, 0), peaks.window(0, 1)
    before = xp.stack([across[:, 0, 0], down[:, 0, 0]])
    after = xp.stack([across[:, 0, 2], down[:, 2, 0]])
    step = xp.where(after > before, 0.25, xp.where(before > after, -0.25, 0.0))
    return peaks.place + xp.where(xp.equal(peaks.place, peaks.inner), step, 0.0)


def fit(peaks):
    """The vertex of a quadratic fitted to the logarithm of 3 x 3 cells by least squares.

    A Gaussian's logarithm is a quadratic, so this is exact for it, at the border too, where the
    3 x 3 cells are moved inside the map. The point is kept within the highest cell.
    """
    xp = peaks.xp
    sums = xp.weigh(peaks.codec.logs(peaks), _FITTED)
    slope, bend = sums[:2, :], sums[2:, :]
    found = peaks.inner + slope / xp.maximum(-bend, 1e-6)
    found = xp.where(bend < -1e-6, found, peaks.place)
    return xp.maximum(xp.minimum(found, peaks.place + 0.5), peaks.place - 0.5)


def dark(peaks):
    """DARK: a Taylor step from the highest cell, on the logarithm of the blurred map.

    Zhang et al., Distribution-Aware Coordinate Representation (CVPR 2020), section 3.2. The blur
    is the Gaussian of the target itself, cut off at 2.5 sigma (11 cells at sigma 2), and only the
    3 x 3 cells are blurred whose derivatives the step needs.

    At the border the published code returns the highest cell. Here the kernel shrinks, on both
    sides alike, to what fits between the 3 x 3 cells and the border, so that it pulls nowhere. For
    a peak in the last two rows or columns that is nothing, and the logarithm is taken of the map
    as it is; for one in the last the 3 x 3 cells are those beside it. A Gaussian that is cut off by
    the border is so found as well as any other; noise counts for more there. Where the step would
    lead further than two cells, on what is no Gaussian, it ends there.
    """
    xp, codec = peaks.xp, peaks.codec
    (blur_x, across), (blur_y, down) = _blurs(codec.spread, codec.map_size)
    top = peaks.value[:, None, None]
    mass = codec.density(xp, peaks.window(across, down), top)
    lines = xp.matmul(xp.take(blur_y, peaks.cell[1]), mass)
    blurred = xp.matmul(lines, xp.take(blur_x, peaks.cell[0]))

    sums = xp.weigh(xp.log(xp.maximum(blurred, _EMPTY)), _TAYLOR)
    slope, other_slope, other_bend, twist = sums[:2, :], sums[2:4, :], sums[4:6, :], sums[6]
    determinant = other_bend[0] * other_bend[1] - twist * twist
    peaked = xp.minimum(determinant, -other_bend[0]) > _FLAT
    step = (twist * other_slope - other_bend * slope) / xp.maximum(determinant, _FLAT)
    step = xp.maximum(xp.minimum(step, _REACH), -_REACH)
    return xp.where(peaked, peaks.inner + step, peaks.place)


def soft(peaks):
    """Soft-argmax: the mean of all cells, weighted by what the map has of the key point there.

    Sun et al., Integral Human Pose Regression (ECCV 2018), section 2; of Gaussian maps, which are
    no distribution, values below 0 count as 0. Exact for one cell, and for any map that is
    symmetric about its point; noise in far cells, and a Gaussian cut off by the border, pull it
    towards the middle. It is for networks that were trained through it.
    """
    xp, (h, w) = peaks.xp, peaks.codec.map_size
    mass = xp.maximum(peaks.mass, 0.0)
    columns = xp.reshape(xp.sum(mass, axis=1), (-1, w, peaks.count))
    rows = xp.sum(xp.reshape(mass, (-1, h, w, peaks.count)), axis=2)
    total = xp.reshape(xp.sum(rows, axis=1), (-1,))
    found = [
        xp.reshape(xp.sum(along * np.arange(n, dtype=np.float32)[:, None], axis=1), (-1,))
        for along, n in ((columns, w), (rows, h))
    ]
    some = xp.minimum(total - _TINY, LARGEST - total) > 0.0  # NaN and infinity are not
    return xp.where(some, xp.stack(found) / xp.where(some, total, 1.0), peaks.place)


DECODERS = {decoder.__name__: decoder for decoder in (fit, argmax, quarter, dark, soft)}


@functools.cache
def _blurs(spread, map_size):
    """`_blur` along x, as (w, 2 r + 1, 3), and along y, (h, 3, 2 r + 1), each with its r."""
    (h, w), (x, y) = map_size, spread
    across, reach = _blur(x, w)
    return (np.ascontiguousarray(across.transpose(0, 2, 1)), reach), _blur(y, h)


def _blur(sigma, size):
    """The blur of three neighbouring cells along an axis, for the highest cell at each of `size`.

    Returns kernels (size, 3, 2 r + 1), which weigh the window up to r away from the highest cell,
    and r.
    """
    widest = min(math.ceil(2.5 * sigma), (size - 3) // 2)
    window = first(size, widest + 1)[:, None, None] + np.arange(2 * widest + 3)
    middle = np.arange(size).clip(1, size - 2)[:, None, None]
    apart = np.abs(window - middle - np.array([[-1], [0], [1]]))
    reach = np.minimum(middle - 1, size - 2 - middle).clip(max=widest)
    kernels = np.where(apart <= reach, np.exp(-0.5 * (apart / sigma) ** 2), 0.0)
    return (kernels / kernels.sum(axis=-1, keepdims=True)).astype(np.float32), widest + 1
