"""The few array operations that codecs need, under numpy and under `keras.ops`.

A codec's mathematics is written once against this shim: float32 and int32 only, and only
operations that convert to built-in TFLite ones (`highest` goes through `top_k`, because an argmax
over floats brings a bitwise operation that TFLite does not have).

    highest(maps)     of maps (B, h, w, K): the maps, and of each its highest value (B K,) and that
                      one's column and row (2, B K) of type `index`, the first in reading order
                      where several are equal. numpy returns them without NaN, which is the lowest
                      value; in a graph that would cost too much, and a map with NaN has any highest
                      cell
    finite(values)    some of those values, with -LARGEST for NaN and within +-LARGEST
    take(table, i)    table[i], i of any shape
    index             the type that suits i best: int32, or numpy's own
    weigh(values, w)  sums of values (N, 3, 3), one for each row of weights (n, 9): (n, N)
"""

import functools
import types

import numpy as np


def _numpy():
    def highest(maps):
        """Without a transposed copy of the maps, which would take longer than everything else."""
        maps = np.ascontiguousarray(maps)  # as a network's are
        batch, h, w, count = maps.shape
        tops = np.maximum.reduce(maps.reshape(batch, h, w * count), axis=1)  # of the columns
        tops = tops.reshape(batch, w, count)
        value = np.maximum.reduce(tops, axis=1)
        if not np.isfinite(value).all():
            return highest(_finite(np, maps))
        (flat,) = (tops == value[:, None]).ravel().nonzero()
        image, column, k, number = _columns(batch, w, count).take(flat, axis=1)
        row = maps[image, :, column, k].argmax(axis=1)
        if len(number) > value.size:  # of equals the first, which is the one written last
            late = np.argsort(-(row * w + column))
            number, column, row = number[late], column[late], row[late]
        cell = np.empty((2, value.size), np.intp)
        cell[0, number], cell[1, number] = column, row
        return maps, value.ravel(), cell

    return types.SimpleNamespace(
        name="numpy",
        array=lambda x: np.asarray(x, np.float32),
        cast=lambda x, dtype: x.astype(dtype),
        shape=np.shape,
        index=np.intp,
        finite=lambda values: np.maximum(values, -LARGEST),  # `highest` has seen to the rest
        take=lambda table, index: table.take(index, axis=0),
        highest=highest,
        # numpy's functions of these names take four times as long
        reshape=lambda x, shape: x.reshape(shape),
        transpose=lambda x, axes: x.transpose(axes),
        weigh=lambda values, weights: weights @ values.reshape(-1, 9).T,
        **{n: getattr(np, n) for n in _SAME},
    )


def _keras():
    from keras import ops

    def highest(maps):
        """The highest row, then the highest cell in it: `top_k` of all cells takes three times as
        long."""
        h, w, count = maps.shape[1:]
        tops = ops.reshape(ops.transpose(ops.max(maps, axis=2), (0, 2, 1)), (-1, h))
        value, row = ops.top_k(tops, 1)
        row = ops.cast(row, "int32")
        begin = row * (w * count) + ops.reshape(begins(shim, maps), (-1, 1))
        line = ops.take(ops.reshape(maps, (-1,)), begin + count * np.arange(w, dtype="int32"))
        column = ops.cast(ops.top_k(line, 1)[1], "int32")
        return maps, _finite(ops, value[:, 0]), ops.stack([column[:, 0], row[:, 0]])

    shim = types.SimpleNamespace(
        name="keras",
        array=lambda x: ops.cast(x, "float32"),
        cast=ops.cast,
        shape=ops.shape,
        reshape=ops.reshape,
        transpose=ops.transpose,
        arange=lambda n: ops.arange(n, dtype="int32"),
        index=np.int32,
        finite=lambda values: _finite(ops, values),
        take=lambda table, index: ops.take(table, index, axis=0),
        highest=highest,
        # no matrix product: an accelerator may round its factors, and sums may be small differences
        weigh=lambda values, weights: ops.sum(
            ops.reshape(values, (1, -1, 9)) * weights[:, None], axis=-1
        ),
        **{n: getattr(ops, n) for n in _SAME},
    )
    return shim


_SAME = (
    "exp", "log", "maximum", "minimum", "clip", "stack", "tile", "sum",
    "where", "equal", "expand_dims", "matmul", "floor_divide",
)  # fmt: skip
LARGEST = 1e30  # of map values: sums over a map of them are still numbers


def begins(xp, maps):
    """Where each of maps (B, h, w, K) begins in the flattened maps, (B K,) of type `index`."""
    batch, (h, w, count) = xp.shape(maps)[0], maps.shape[1:]
    if isinstance(batch, int):
        return _begins(batch, count, h * w, xp.index)
    number = xp.arange(batch * count)
    return number + xp.floor_divide(number, count) * ((h * w - 1) * count)


@functools.cache
def _begins(batch, count, cells, dtype):
    image, k = np.divmod(np.arange(batch * count), count)
    return (image * (cells * count) + k).astype(dtype)


@functools.cache
def _columns(batch, w, count):
    """Each column of the maps as (image, column, key point, map), (4, B w K)."""
    image, column, k = np.indices((batch, w, count)).reshape(3, -1)
    return np.stack([image, column, k, image * count + k])


def _finite(xp, maps):
    return xp.minimum(xp.where(maps > -LARGEST, maps, -LARGEST), LARGEST)  # NaN is not greater


NUMPY = _numpy()
_PLAIN = (np.ndarray, np.generic, list, tuple)


def of(x):
    """The shim that fits an array: numpy for numpy arrays and lists, `keras.ops` otherwise."""
    if isinstance(x, _PLAIN):
        return NUMPY
    return _keras()
