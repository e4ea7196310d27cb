"""The demo, end to end on the smallest network, and what it does to folders."""

import json
import types

import cv2
import dots
import numpy as np
import pytest
import tiny
from runtime_helpers import SIGMA, dots_model, paint

from keras_pose import demo, presets
from keras_pose.errors import PoseError
from keras_pose.export import check
from keras_pose.runtime import contact_sheet

RECIPE = f"""
from keras_pose.data.augment import Augment
from keras_pose.training.recipe import Recipe

recipe = Recipe("{tiny.TinyPose.__name__}", {{}}, epochs=1, batch_size=8, samples=16)
"""


@pytest.fixture
def zoo(tmp_path, monkeypatch):
    """A zoo whose one preset is that of the closing picture, with another skeleton."""
    made = tmp_path / "zoo" / demo.CLOSING
    made.mkdir(parents=True)
    (made / presets.INT8).write_bytes(dots_model())
    (made / presets.CARD).write_text(f"# {demo.CLOSING}: three dots\n")
    monkeypatch.setattr(presets, "folder", lambda: made.parent)
    return made.parent


def test_the_whole_line(tmp_path, zoo):
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
    closing = cv2.imread(str(out / "closing.png"))
    assert closing.shape == cv2.imread(str(out / "overlays.png")).shape
    assert f"`{demo.CLOSING}` (three dots)" in report.read_text()
    assert "](closing.png)" in report.read_text()
    scores = json.loads((out / "report.json").read_text())
    assert list(scores) == ["Keras float32", "LiteRT fp32", "LiteRT int8"]
    assert scores["Keras float32"]["pck@0.2"] == pytest.approx(scores["LiteRT fp32"]["pck@0.2"])
    assert report.read_text().count("| LiteRT ") == 2


def test_the_closing_picture_shows_what_the_preset_finds(tmp_path, zoo):
    points = 2.5 * np.array([[30.0, 6.0], [12.0, 50.0], [52.0, 52.0]]) + 10
    picture, grey = paint((160, 170), points, 2.5 * SIGMA), np.full((160, 170, 3), 127, np.uint8)
    unseen = types.SimpleNamespace(samples=[picture, grey], image=np.copy)
    demo._closing(tmp_path, unseen)
    plain = contact_sheet([picture, grey], 4)[..., ::-1].astype(int)
    changed = np.abs(cv2.imread(str(tmp_path / "closing.png")) - plain).max(axis=(0, 2)) > 50
    half = len(changed) // 2
    assert changed[:half].any() and not changed[half:].any()


def test_without_the_preset_the_report_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(presets, "folder", lambda: tmp_path)
    told = demo._closing(tmp_path, dots.DotsReader(2, seed=3))
    assert demo.CLOSING in "".join(told) and not (tmp_path / "closing.png").exists()


@pytest.mark.parametrize("content", [None, b"damaged"])
def test_without_the_presets_file_the_report_says_so(tmp_path, zoo, content):
    path = zoo / demo.CLOSING / presets.INT8
    path.unlink()
    if content:
        path.write_bytes(content)
    told = "".join(demo._closing(tmp_path, dots.DotsReader(2, seed=3)))
    assert presets.INT8 in told and not (tmp_path / "closing.png").exists()


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
