"""MobileNetV2 with one block for each stride: a third of its layers, and of what they cost a test.

For tests of what stands behind a backbone; ModelChecks have the whole one.
"""

import contextlib

import pytest

from keras_pose.backbones import mobilenet_v2


@contextlib.contextmanager
def shallow():
    """Whatever is built inside, or read from a file, has the shallow trunk."""
    with pytest.MonkeyPatch.context() as patch:
        groups = ((16, 1, 1), (24, 1, 2), (32, 1, 2), (96, 1, 2), (320, 1, 2))
        patch.setattr(mobilenet_v2, "_GROUPS", groups)
        patch.setattr(mobilenet_v2, "_LEVELS", {1: 4, 2: 8, 3: 16})
        yield
