"""apps/refine.py: what it prints, its exit status, and that it needs LiteRT alone."""

import io
import json
import os
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
from conftest import ROOT
from refine_helpers import TRUTH, entry, found, write_images, write_model

from keras_pose import export, metadata
from keras_pose.models import PoseFix
from keras_pose.runtime import PoseRefiner, load_image
from keras_pose.skeletons import COCO17, LSP14

sys.path.insert(0, str(ROOT / "apps"))
import refine


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("images"))


def test_a_terminal_is_told_the_time_that_is_left(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    clock = iter([0.0, 10.0, 10.1, 40.0, 50.0])
    monkeypatch.setattr(refine.time, "monotonic", lambda: next(clock))
    screen, pipe = Terminal(), io.StringIO()
    shown = refine._Terminal(screen)
    shown.seen(0.25)
    shown.seen(0.26)  # too soon after it
    shown.complain("entry 3: odd")
    shown.seen(0.5)
    shown.done()
    said = screen.getvalue()
    assert " 25%, 0:00:30 left" in said and " 50%, 0:00:40 left" in said and "26%" not in said
    # what remains to be read is what was complained about
    assert re.sub(r"[^\n\r]*\r +\r", "", said) == "entry 3: odd\n"
    shown = refine._Terminal(pipe)
    shown.seen(0.25)
    shown.complain("entry 3: odd")
    assert pipe.getvalue() == "entry 3: odd\n"


@pytest.fixture
def app(model, images, tmp_path):
    """Runs the command where the packages of a workstation cannot be imported."""
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    for name in ("keras", "tensorflow", "scipy", "matplotlib", "jax", "tqdm", "pycocotools"):
        (blocked / f"{name}.py").write_text(f"raise ImportError('{name} is blocked')\n")

    def run(*arguments, **changes):
        named = {"images": images, "model": model, "out": tmp_path / "out.json",
                 "results": tmp_path / "in.json", **changes}  # fmt: skip
        flags = [str(a) for name, value in named.items() for a in (f"--{name}", value)]
        command = [sys.executable, str(ROOT / "apps" / "refine.py"), *flags, *arguments]
        path = os.pathsep.join([str(blocked), str(ROOT)])
        return subprocess.run(
            command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path}
        )

    return run


def test_the_command_needs_litert_alone(app, tmp_path):
    (tmp_path / "in.json").write_text(json.dumps([entry(), entry(5), entry(9)]))
    done = app()
    assert done.returncode == 0, done.stderr
    assert "3 entries, 2 refined, 1 written as they were" in done.stdout
    assert "\nentry 1 at byte " in "\n" + done.stderr
    written = json.loads((tmp_path / "out.json").read_text())
    assert [one["image_id"] for one in written] == [7, 5, 9]
    assert np.abs(found(written[2])[:, :2] - TRUTH[9]).max() < 1.0


def command(images, model, tmp_path, *more):
    return refine.main(
        ["--images", str(images), "--results", str(tmp_path / "in.json"), "--model", str(model),
         "--out", str(tmp_path / "out.json"), *more]
    )  # fmt: skip


def test_the_status_says_that_a_file_was_cut_or_nothing_refined(images, model, tmp_path, capsys):
    text = json.dumps([entry(), entry(9)])
    (tmp_path / "in.json").write_text(text[:-30])
    with pytest.raises(SystemExit) as status:
        command(images, model, tmp_path)
    assert status.value.code == 1 and "cut or damaged" in capsys.readouterr().err
    assert len(json.loads((tmp_path / "out.json").read_text())) == 1
    (tmp_path / "in.json").write_text(text)
    with pytest.raises(SystemExit) as status:
        command(images, model, tmp_path, "--skeleton", "head,tail")
    assert status.value.code == 1 and "--skeleton" in capsys.readouterr().err
    assert json.loads((tmp_path / "out.json").read_text()) == [entry(), entry(9)]


def test_cocos_results_by_a_posefix_of_lsps_key_points(images, tmp_path, capsys):
    """The 12 that both have by name are refined; nose, eyes and ears stay as they were."""
    keras.utils.set_random_seed(0)
    network = PoseFix(
        "lsp14", (32, 32), "mobilenet_v2", alpha=0.35, level=8, deconvolutions=1, filters=8,
        sigma=3.0, pose_stride=2,
    )  # fmt: skip
    path = tmp_path / "posefix.tflite"
    path.write_bytes(export.to_tflite(network, "fp32", "float", "decoded"))
    assert metadata.read(path).reads == ("image", "pose")
    rng = np.random.default_rng(0)
    points = rng.uniform(20, 180, (17, 2)).round(2)
    points[COCO17.index("left_wrist")] = 0
    scores = rng.integers(1, 9, 17) / 8
    given = entry(points=points, scores=scores.tolist())
    (tmp_path / "in.json").write_text(json.dumps([given]))
    command(images, path, tmp_path, "--skeleton", "coco17")
    (written,) = json.loads((tmp_path / "out.json").read_text())
    changed = (found(written) != found(given)).any(axis=1)
    names = {name for name, new in zip(COCO17.keypoints, changed, strict=True) if new}
    assert names == set(COCO17.keypoints) & set(LSP14.keypoints) and len(names) == 12
    np.testing.assert_array_equal(found(written)[:, 2], scores)
    shown = np.zeros((14, 3))
    for name in names:
        shown[LSP14.index(name)] = found(given)[COCO17.index(name)]
    image = load_image(images / "000000000007.png")
    expected = PoseRefiner(path)(image, shown[None])[0]
    for name in names:
        here, there = found(written)[COCO17.index(name)], expected[LSP14.index(name)]
        np.testing.assert_allclose(here[:2], there[:2], atol=1e-3)
    assert "1 refined" in capsys.readouterr().out
