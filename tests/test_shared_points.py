"""Scores over the key points that two skeletons share, and other people's models scored by them."""

import json
import runpy
import sys

import dots
import numpy as np
import pytest
import tiny
from conftest import ROOT, shared

from keras_pose import geometry, metrics
from keras_pose.data.open import open_reader
from keras_pose.errors import PoseError
from keras_pose.skeletons import COCO17, LSP14
from keras_pose.training import evaluate

sys.path.insert(0, str(ROOT / "benchmarks"))

import peers

TWELVE = evaluate.shared(LSP14, COCO17)


def told(points, reader, size=(64, 64)):
    """A predictor that says `points`, one (14, 2) for each person in the picture's pixels."""
    left = iter(zip(reader.samples, points, strict=True))

    def predict(patches):
        found = []
        for _, (sample, said) in zip(patches, left, strict=False):
            box = geometry.crop_box(sample.box, size)
            found.append(geometry.apply(geometry.box_to_size(box, size), said))
        return np.stack(found), np.ones((len(found), 14), np.float32)

    return predict


def test_twelve_of_fourteen_are_shared():
    assert len(TWELVE) == 12 and {*LSP14.keypoints} - {*TWELVE} == {"neck", "head_top"}
    with pytest.raises(PoseError, match="chain"):
        evaluate.shared(LSP14, tiny.CHAIN)


def test_only_what_is_asked_for_counts():
    reader = dots.DotsReader(6)
    points = np.stack([s.keypoints for s in reader.samples])
    points[:, 12:] += 1000  # head and neck
    points[:, 0] += 1000
    found = evaluate.find(told(points, reader), reader, (64, 64))
    every, some = found.score(), found.score(TWELVE)
    seen = np.stack([s.visible for s in reader.samples])
    seen = seen & ~np.isnan(metrics.torso(found.truth, seen, LSP14))[:, None]
    assert every.mean() == pytest.approx(100 * seen[:, 1:12].sum() / seen.sum())
    assert some.mean() == pytest.approx(100 * seen[:, 1:12].sum() / seen[:, :12].sum())
    assert set(some.tables["pck@0.2"]) == {"mean", "left", "right", *TWELVE}
    assert "12 of the key points" in some.table() and json.loads(some.to_json())["only"] == list(
        TWELVE
    )


def test_the_reference_length_is_that_of_the_whole_person():
    reader = dots.DotsReader(6)
    points = np.stack([s.keypoints for s in reader.samples])
    found = evaluate.find(told(points + 9, reader), reader, (64, 64))
    wrists = ("left_wrist", "right_wrist")  # no torso can be measured between them
    for name, table in found.score(wrists).tables.items():
        assert table["left_wrist"] == found.score().tables[name]["left_wrist"]


def test_the_script_counts_what_a_skeleton_shares(tmp_path, monkeypatch, capsys):
    dots.write(dots.DotsReader(4), tmp_path / "val")
    dots.write(dots.DotsReader(4), tmp_path / "train")
    tiny.TinyPose("lsp14").save(tmp_path / "tiny.keras")
    out = tmp_path / "report.json"
    given = [tmp_path / "tiny.keras", "--data", tmp_path, "--shared", "coco17", "--json", out]
    monkeypatch.setattr(sys, "argv", ["evaluate.py", *map(str, given)])
    runpy.run_path(str(ROOT / "train" / "evaluate.py"))["main"]()
    assert "12 of the key points" in capsys.readouterr().out
    assert "neck" not in json.loads(out.read_text())["tables"]["pck@0.2"]


def test_movenet_answers_for_our_key_points():
    """Its points land on ours by name: with two of them exchanged it scores far less."""
    reader = open_reader(shared("data/lspet"), "val")
    peer = peers.MoveNet(shared("peers/movenet_lightning_fp16.tflite"), reader.skeleton)
    assert peer.input_size == (192, 192)
    found = evaluate.find(peer, reader, peer.input_size, limit=40)
    assert np.isnan(found.predicted[:, 12:]).all() and np.isfinite(found.predicted[:, :12]).all()
    table = found.score(TWELVE).tables["pck@0.2"]
    assert min(table["left"], table["right"]) > 50
    assert found.score().mean() < table["mean"]


def test_a_file_that_is_no_movenet_is_refused(tmp_path):
    path = tmp_path / "other.tflite"
    path.write_bytes(b"TFL3, or so it says")
    with pytest.raises(PoseError, match=r"other\.tflite"):
        peers.MoveNet(path, LSP14)
    blazepose = shared("peers/blazepose_landmark_lite.tflite")
    with pytest.raises(PoseError, match="17"):
        peers.MoveNet(blazepose, LSP14)
