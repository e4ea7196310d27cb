"""OneEuro: steady at rest, quick in motion, the same for near and far persons."""

import numpy as np
import pytest

from keras_pose.runtime.smoothing import OneEuro

FPS = 30.0


def _run(smooth, truth, noise, size, scores=None):
    """Feeds noisy frames; returns the mean error per frame of raw and smoothed, over the size."""
    rng = np.random.default_rng(0)
    raw = truth + rng.normal(0, noise * size, truth.shape)
    scores = np.ones(truth.shape[1]) if scores is None else scores
    out = np.array([smooth(r, scores, i / FPS, size) for i, r in enumerate(raw)])
    return [np.linalg.norm(p - truth, axis=-1).mean(axis=1) / size for p in (raw, out)], out


def test_jitter_at_rest_falls_to_less_than_half():
    truth = np.tile(np.random.default_rng(1).uniform(0, 200, (1, 14, 2)), (200, 1, 1))
    _, out = _run(OneEuro(), truth, 0.01, 180)
    steps = np.linalg.norm(np.diff(out[50:], axis=0), axis=-1).mean() / 180
    assert steps < 0.5 * 0.01 * np.sqrt(2 * np.pi / 2)  # mean step of the raw noise


def test_a_swinging_wrist_is_not_left_behind():
    time = np.arange(200) / FPS
    swing = 0.25 * 180 * np.sin(2 * np.pi * time)  # a quarter of the person, once a second
    truth = np.zeros((200, 1, 2)) + np.stack([swing, 0 * swing], -1)[:, None]
    (raw, smooth), _ = _run(OneEuro(), truth, 0.01, 180)
    assert smooth[30:].mean() < 1.5 * raw[30:].mean()


def test_the_size_of_the_person_does_not_matter():
    truth = np.cumsum(np.random.default_rng(2).normal(0, 1, (60, 5, 2)), axis=0)
    small, large = OneEuro(), OneEuro()
    for i, points in enumerate(truth):
        a = small(points, np.ones(5), i / FPS, 50)
        b = large(points * 8, np.ones(5), i / FPS, 400)
    np.testing.assert_allclose(a * 8, b, rtol=1e-4)


def test_half_the_frames_reach_the_same_place():
    points = np.array([[0.0, 0.0]])
    results = []
    for fps in (30, 60):
        smooth = OneEuro(beta=0.0)
        smooth(points, np.ones(1), 0.0, 100)
        for i in range(1, fps // 2 + 1):
            out = smooth(points + 100, np.ones(1), i / fps, 100)
        results.append(out[0, 0])
    assert results[0] == pytest.approx(results[1], rel=0.02)


def test_an_unsure_point_moves_less_than_a_sure_one():
    smooth = OneEuro(confident=0.3)
    start = np.zeros((3, 2))
    smooth(start, np.ones(3), 0.0, 100)
    out = smooth(start + 30, np.array([0.9, 0.15, 0.0]), 1 / FPS, 100)[:, 0]
    assert out[0] > out[1] > out[2] == 0


def test_reset_gaps_and_repeated_times():
    smooth, points = OneEuro(), np.ones((2, 2))
    sure = np.ones(2)
    assert np.array_equal(smooth(points, sure, 5.0, 10), points)
    held = smooth(points * 9, sure, 5.0, 10)  # no time has passed
    assert np.array_equal(held, points)
    assert np.array_equal(smooth(points * 9, sure, 7.0, 10), points * 9)  # after a long gap
    assert np.array_equal(smooth(points * 4, sure, 1.0, 10), points * 4)  # a clock set back
    smooth.reset()
    assert np.array_equal(smooth(points * 7, sure, 1.01, 10), points * 7)
