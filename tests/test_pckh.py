"""PCKh of data with head boxes, from a reader to the printed table."""

import dataclasses
import json

import numpy as np
import pytest

from keras_pose.data.sample import Sample
from keras_pose.skeletons import LSP14, MPII16
from keras_pose.training import evaluate
from keras_pose.training.evaluate import Found

RNG = np.random.default_rng(5)
TRUTH = RNG.uniform(0, 100, (4, 16, 2)).astype(np.float32)
HEADS = (10.0, 20.0, float("nan"), 40.0)
SEEN = np.ones(16, bool)


def persons(truth, heads):
    box = np.array([0.0, 0.0, 100.0, 100.0])
    return tuple(
        Sample(points, SEEN[: len(points)], box, f"a#{i}", i, head=head)
        for i, (points, head) in enumerate(zip(truth, heads, strict=True))
    )


def found(moved, heads=HEADS, truth=TRUTH, skeleton=MPII16):
    """Predictions so many pixels right of the truth."""
    predicted = truth + np.array([1.0, 0.0]) * np.reshape(moved, (-1, 1, 1))
    seen = np.ones(truth.shape[:2], bool)
    return Found(predicted, truth, seen, skeleton, samples=persons(truth, heads))


def test_half_the_head_box_counts_and_persons_without_one_do_not():
    near, far = (found([s * h for h in (10.0, 20.0, 1e6, 40.0)]).score() for s in (0.49, 0.51))
    for report, expected in ((near, 100.0), (far, 0.0)):
        assert report.mean("pckh@0.5") == expected and report.headless == 1
        assert set(report.rows.values()) == {expected} and len(report.rows) == 8
        assert report.persons == 4


def test_pelvis_and_thorax_are_not_in_pckh_and_stay_in_pck():
    wrong = found(np.zeros(4))
    for name in ("pelvis", "thorax"):
        wrong.predicted[:, MPII16.index(name)] += 1e4
    report = wrong.score()
    assert report.mean("pckh@0.5") == 100.0 > report.mean("pck@0.2")
    assert report.tables["pck@0.2"]["thorax"] == 0.0 and "thorax" not in report.tables["pckh@0.5"]
    text = report.table()
    assert "Head 100.0, Shoulder 100.0" in text and "1 persons without a head box" in text
    stored = json.loads(report.to_json())
    assert stored["headless"] == 1 and stored["tables"]["pckh@0.5, MPII's rows"]["Ankle"] == 100.0


def test_without_any_head_box_the_neck_and_the_top_of_the_head_measure_it():
    truth = TRUTH[:, :14]
    length = np.linalg.norm(truth[:, 12] - truth[:, 13], axis=1)
    for share, expected in ((0.49, 100.0), (0.51, 0.0)):
        report = found(share * length, [np.nan] * 4, truth, LSP14).score()
        assert report.mean("pckh@0.5") == expected
        assert not report.rows and "Shoulder" not in report.table()
        assert "headless" not in json.loads(report.to_json())


def test_a_readers_head_lengths_reach_the_score():
    class Reader:
        skeleton, samples = MPII16, persons(TRUTH, HEADS)
        skips = None

        def __len__(self):
            return len(self.samples)

        def __getitem__(self, index):
            return self.samples[index]

        def image(self, sample, reduce=1):
            return np.zeros((100, 100, 3), np.uint8)

    def predict(patches):
        return np.full((len(patches), 16, 2), -1e3), np.ones((len(patches), 16))

    report = evaluate.evaluate(predict, Reader(), (32, 32))
    assert report.headless == 1 and report.rows["Mean"] == 0.0
    few = evaluate.evaluate(predict, Reader(), (32, 32), only=("left_hip", "thorax"))
    assert few.rows["Hip"] == 0.0 and np.isnan(few.rows["Wrist"])
    assert dataclasses.asdict(few)["headless"] == 1


@pytest.mark.parametrize("only", [(), ("head_top",)])
def test_nobody_is_left_when_no_head_box_is_annotated_with_joints(only):
    lonely = found(np.zeros(4), (5.0, np.nan, np.nan, np.nan))
    lonely.visible[0] = False
    report = lonely.score(only)
    assert np.isnan(report.mean("pckh@0.5")) and np.isnan(report.rows["Mean"])
