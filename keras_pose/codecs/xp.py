"""The few array operations that codecs need, under numpy and under `keras.ops`.

A codec's mathematics is written once against this shim: float32 and int32 only, and only
operations that convert to built-in TFLite ones (`argmax` goes through `top_k`, because an argmax
over floats brings a bitwise operation that TFLite does not have).
"""

import types

import numpy as np


def _numpy():
    def cast(x, dtype):
        return np.asarray(x).astype(dtype)

    return types.SimpleNamespace(
        name="numpy",
        array=lambda x: np.asarray(x, np.float32),
        cast=cast,
        shape=np.shape,
        argmax=lambda x: np.argmax(x, axis=-1).astype(np.int32),  # over the last axis
        take=lambda flat, index: flat[index],  # flat: (N,); index: any shape
        floor_divide=np.floor_divide,
        **{n: getattr(np, n) for n in _SAME},
    )


def _keras():
    from keras import ops

    return types.SimpleNamespace(
        name="keras",
        array=lambda x: ops.cast(x, "float32"),
        cast=ops.cast,
        shape=ops.shape,
        argmax=lambda x: ops.cast(ops.top_k(x, 1)[1], "int32")[..., 0],
        take=lambda flat, index: ops.take(flat, index, axis=0),
        floor_divide=ops.floor_divide,
        **{n: getattr(ops, n) for n in _SAME},
    )


_SAME = (
    "exp", "log", "maximum", "minimum", "clip", "reshape", "transpose", "stack", "sum", "max",
    "where", "expand_dims",
)  # fmt: skip

NUMPY = _numpy()


def of(x):
    """The shim that fits an array: numpy for numpy arrays and lists, `keras.ops` otherwise."""
    if isinstance(x, np.ndarray | np.generic | list | tuple):
        return NUMPY
    return _keras()
