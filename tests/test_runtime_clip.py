"""The clip benchmark: its clip is what it says, and its score counts what it says."""

import json
import sys

import numpy as np
import pytest
from conftest import ROOT

from keras_pose.results import Pose
from keras_pose.runtime import VideoSource
from keras_pose.skeletons import LSP14

sys.path.insert(0, str(ROOT / "benchmarks"))

import clip

SIZE = (180, 320)


@pytest.fixture(scope="module")
def composed(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    return path, clip.compose(path, seconds=clip.SHOT, seed=3, size=SIZE)


def _inside(points):
    return ((points > -0.5) & (points < (SIZE[1] - 0.5, SIZE[0] - 0.5))).all(axis=1)


def test_the_clip_has_the_person_where_its_truth_says(composed):
    path, truth = composed
    assert json.loads(path.with_suffix(".json").read_text()) == truth
    with VideoSource(path) as source:
        frames = [f.astype(int) for _, f in source]
        assert source.size == SIZE and source.fps == clip.FPS
    assert len(frames) == len(truth["frames"]) == clip.SHOT * clip.FPS
    empty = np.mean([f for f, p in zip(frames, truth["frames"], strict=True) if p is None], axis=0)
    heights, changed = [], []
    for frame, points in zip(frames, truth["frames"], strict=True):
        if points is None or not _inside(np.array(points)).all():
            continue
        points = np.array(points)
        heights.append(np.ptp(points[:, 1]))
        # the belly is painted over the scene; the far corner of the frame is not
        x, y = points[[2, 3, 8, 9]].mean(axis=0).round().astype(int)
        changed.append(np.abs(frame - empty)[y, x].max())
    assert len(heights) > 150
    assert 0.75 < np.median(heights) / (0.25 * SIZE[0]) < 1.05  # ankle to top of the head
    assert np.median(changed) > 20
    counts = [p is None for p in truth["frames"]]
    assert 0.3 < np.mean(counts) < 0.4 and counts[0] and counts[-1]


def _results(truth, shift=0.0, scores=0.9, always=False):
    entries = []
    for points in truth["frames"]:
        if points is None or not _inside(np.array(points)).any():
            pose = Pose(np.full((14, 2), 50.0), np.ones(14)) if always else None
        else:
            pose = Pose(np.array(points) + shift, np.full(14, scores))
        entries.append({"pose": None if pose is None else pose.to_dict(LSP14.keypoints)})
    return {"results": entries}


def test_the_score_of_perfect_blind_and_misplaced_answers(composed):
    _, truth = composed
    perfect = clip.score(truth, _results(truth), 0.3)
    assert perfect["followed %"] == perfect["close %"] == perfect["nothing shown %"] == 100
    assert perfect["with person"] + perfect["without"] <= perfect["frames"] == 375
    assert perfect["without"] > 100 and perfect["with person"] > 180
    blind = clip.score(truth, {"results": [{"pose": None}] * 375}, 0.3)
    assert blind["followed %"] == 0 and blind["nothing shown %"] == 100
    assert clip.score(truth, _results(truth, shift=40.0), 0.3)["followed %"] == 0
    assert clip.score(truth, _results(truth, always=True), 0.3)["nothing shown %"] < 10


def test_a_shift_of_a_few_pixels_is_still_followed(composed):
    _, truth = composed
    row = clip.score(truth, _results(truth, shift=2.0), 0.3)
    assert row["followed %"] == 100
    row = clip.score(truth, _results(truth, shift=8.0), 0.3)
    assert row["close %"] < 10 and row["followed %"] < 90
