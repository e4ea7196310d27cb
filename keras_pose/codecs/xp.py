"""The few array operations that codecs need, under numpy and under `keras.ops`.

A codec's mathematics is written once against this shim: float32 and int32 only, and only
operations that convert to built-in TFLite ones (`highest` goes through `top_k`, because an argmax
over floats brings a bitwise operation that TFLite does not have).

    highest(maps)     of maps (B, h, w, K): the maps, and of each its highest value (B K,) and that
                      one's cell (B K,) of type `index`, counted in reading order, the first where
                      several are equal. numpy returns them without NaN, which is the lowest value;
                      in a graph that would cost too much, and a map with NaN has any highest cell
    finite(values)    some of those values, with -LARGEST for NaN and within +-LARGEST
    take(table, i)    table[i], i of any shape
    index             the type that suits i best: int32, or numpy's own
    weigh(values, w)  sums of values (N, 3, 3), one for each row of weights (n, 9): (n, N)
"""

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
        image, column, k = (tops == value[:, None]).nonzero()
        row = maps[image, :, column, k].argmax(axis=1)
        found, number = row * w + column, image * count + k
        late = np.argsort(-found) if len(found) > value.size else slice(None)
        cell = np.empty(value.size, np.intp)
        cell[number[late]] = found[late]  # of equals the one that is written last, the first
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
        rows = ops.transpose(maps, (0, 3, 1, 2))
        value, cell = ops.top_k(ops.reshape(rows, (-1, maps.shape[1] * maps.shape[2])), 1)
        return maps, _finite(ops, value[:, 0]), ops.cast(cell[:, 0], "int32")

    return types.SimpleNamespace(
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


_SAME = (
    "exp", "log", "maximum", "minimum", "clip", "stack", "tile", "sum",
    "where", "equal", "expand_dims", "matmul", "floor_divide",
)  # fmt: skip
LARGEST = 1e30  # of map values: sums over a map of them are still numbers


def _finite(xp, maps):
    return xp.minimum(xp.where(maps > -LARGEST, maps, -LARGEST), LARGEST)  # NaN is not greater


NUMPY = _numpy()
_PLAIN = (np.ndarray, np.generic, list, tuple)


def of(x):
    """The shim that fits an array: numpy for numpy arrays and lists, `keras.ops` otherwise."""
    if isinstance(x, _PLAIN):
        return NUMPY
    return _keras()
