"""The demo, end to end on the smallest network, and what it does to folders."""

import json

import cv2
import dots
import pytest
import tiny

from keras_pose import demo
from keras_pose.errors import PoseError
from keras_pose.export import check

RECIPE = f"""
from keras_pose.data.augment import Augment
from keras_pose.training.recipe import Recipe

recipe = Recipe("{tiny.TinyPose.__name__}", {{}}, epochs=1, batch_size=8, samples=16)
"""


def test_the_whole_line(tmp_path, capsys):
    data, out = tmp_path / "data", tmp_path / "out"
    dots.write(dots.DotsReader(20, seed=1), data / "train", ".jpg")
    dots.write(dots.DotsReader(6, seed=2), data / "val", ".jpg")
    (tmp_path / "tiny.py").write_text(RECIPE)
    demo.empty(out)  # an earlier demo that did not come to its end
    report, passed = demo.demo(data, out, tmp_path / "tiny.py", max_drop=100.0)
    assert passed and report == out / "report.md"
    for name in ("best.keras", "demo_fp32.tflite", "demo_int8.tflite", "curve.png"):
        assert (out / name).stat().st_size > 0
    assert cv2.imread(str(out / "overlays.png")).shape[1] > 300
    scores = json.loads((out / "report.json").read_text())
    assert list(scores) == ["Keras float32", "LiteRT fp32", "LiteRT int8"]
    assert scores["Keras float32"]["pck@0.2"] == pytest.approx(scores["LiteRT fp32"]["pck@0.2"])
    assert report.read_text().count("| LiteRT ") == 2


def test_a_loss_in_int8_fails(tmp_path):
    assert not check.Check({"pck@0.2": 60.0}, 61.5, 1.0).passed
    assert check.Check({"pck@0.2": 60.5}, 61.5, 1.0).passed


def test_only_a_demos_folder_is_emptied(tmp_path):
    for made in (tmp_path / "new", tmp_path / "new"):
        demo.empty(made)
        assert [p.name for p in made.iterdir()] == ["report.md"]
        (made / "last.state").touch()
    for held in ("photos", "notes"):
        (tmp_path / held).mkdir()
        (tmp_path / held / "report.md").write_text("my own")
        with pytest.raises(PoseError, match="--out"):
            demo.empty(tmp_path / held)
        assert (tmp_path / held / "report.md").exists()
    (tmp_path / "file").touch()
    with pytest.raises(PoseError, match="--out"):
        demo.empty(tmp_path / "file")
