"""The cost benchmark: its parts are disjoint, and its share is overhead over the network's time."""

import sys

import numpy as np
import pytest
from conftest import ROOT
from runtime_helpers import SIGMA, dots_model, paint

sys.path.insert(0, str(ROOT / "benchmarks"))

import runtime_cost

POINTS = np.array([[30.0, 6.0], [12.0, 50.0], [52.0, 52.0]]) * 2


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "dots.tflite"
    path.write_bytes(dots_model(threshold=0.5))
    return path


def test_every_followed_frame_is_measured_and_left_as_it_was(model):
    frames = [(i / 25, paint((240, 320), POINTS + (40 + i, 60), 2 * SIGMA)) for i in range(20)]
    copies = [f.copy() for _, f in frames]
    times = runtime_cost.measure(model, frames)
    assert 15 <= len(times) <= 20 and (times > 0).all()
    assert all(np.array_equal(a, b) for (_, a), b in zip(frames, copies, strict=True))
    empty = [(s, np.full_like(f, 127)) for s, f in frames]
    assert runtime_cost.measure(model, empty).shape == (0, len(runtime_cost.PARTS))


def test_the_row_is_medians_and_their_share():
    times = np.tile([1000e-6, 200e-6, 10e-6, 20e-6, 30e-6, 50e-6], (5, 1))
    row = runtime_cost.row("m.tflite", "decoded", times)
    assert row["network us"] == 1000 and row["cut us"] == 200 and row["feed us"] == 10
    assert row["overhead us"] == 100 and row["overhead %"] == 10
