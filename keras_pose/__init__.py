"""Pose estimation that ends on a phone: train, quantize, check and run pose networks.

Importing this package is light: each room is loaded when it is first named, so
`keras_pose.runtime` works where neither Keras nor TensorFlow is installed.
"""

import importlib

__version__ = "0.1.0"

_ROOMS = (
    "backbones",
    "codecs",
    "data",
    "errors",
    "export",
    "geometry",
    "layers",
    "losses",
    "metadata",
    "metrics",
    "models",
    "presets",
    "results",
    "runtime",
    "skeletons",
    "task",
    "training",
)

__all__ = ["__version__", *_ROOMS]


def __getattr__(name):
    if name in _ROOMS:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
