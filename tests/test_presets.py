"""Presets: what a name means, where it is understood, and what a wheel brings along."""

import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile

import cv2
import keras
import numpy as np
import pytest
from conftest import ROOT
from runtime_helpers import SIGMA, dots_model, paint

from keras_pose import models, presets
from keras_pose.errors import PoseError
from keras_pose.models import network
from keras_pose.models.start import start
from keras_pose.runtime import PoseEstimator, benchmark
from keras_pose.training import evaluate

ARGUMENTS = {"size": "s", "skeleton": "lsp14", "input_size": (32, 32)}
WIDTHS = {"channels": (8, 8), "blocks": (0, 0), "stem": 4, "keypoint_channels": 2}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A zoo of two: dots_small with both files, dots_tall with a .keras and a nameless card."""
    zoo = tmp_path_factory.mktemp("zoo")
    keras.utils.set_random_seed(3)
    for name in ("dots_small", "dots_tall"):
        (zoo / name).mkdir()
        models.RePoseLite(**ARGUMENTS, **WIDTHS).save(zoo / name / presets.KERAS)
    (zoo / "dots_small" / presets.INT8).write_bytes(dots_model(model="Dots"))
    (zoo / "dots_small" / presets.CARD).write_text("# dots_small: three: dots\nname: dots_small\n")
    (zoo / "dots_tall" / presets.CARD).write_text("# A card of another kind.\n")
    (zoo / "no_card").mkdir()
    return zoo


@pytest.fixture
def zoo(made, monkeypatch):
    monkeypatch.setattr(presets, "folder", lambda: made)
    return made


def _app(name):
    """apps/<name>.py as a module, so that its main sees this process's zoo."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "apps" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_name_is_a_folder_with_a_card(zoo):
    assert presets.names() == ["dots_small", "dots_tall"]
    assert presets.find("dots_small") == zoo / "dots_small" / "model_int8.tflite"
    assert presets.find("dots_tall", presets.KERAS) == zoo / "dots_tall" / "model.keras"


def test_a_name_that_is_unknown_gets_the_nearest_and_the_list(zoo):
    with pytest.raises(PoseError) as refusal:
        presets.find("dots_smal")
    error = refusal.value
    assert "dots_small, dots_tall" in error.expected and "'dots_smal'" in error.received
    assert "dots_small" in error.advice and "dots_tall" not in error.advice
    with pytest.raises(PoseError, match=r"model_int8.*model\.keras"):
        presets.find("dots_tall")
    for other in ("", "no_card", ".."):
        with pytest.raises(PoseError):
            presets.find(other)


def test_no_zoo_at_all_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr(presets, "folder", lambda: tmp_path / "gone")
    assert presets.names() == [] and presets.table() == ""
    with pytest.raises(PoseError, match=r"none in .*gone"):
        presets.find("dots_small")


def test_an_existing_file_wins_and_what_looks_like_a_path_is_one(zoo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    inside = zoo / "dots_small" / "model_int8.tflite"
    (tmp_path / "dots_tall").mkdir()  # a folder of that name is no file
    assert presets.resolve("dots_small") == inside
    (tmp_path / "dots_small").write_text("mine")
    assert presets.resolve("dots_small").read_text() == "mine"
    for path in ("gone.tflite", "dots_smal.kera", os.path.join("dots_tall", "x"), "./dots_tall"):
        assert os.path.normpath(presets.resolve(path)) == os.path.normpath(path)
    assert presets.resolve("dots_tall", presets.KERAS).parent == zoo / "dots_tall"
    with pytest.raises(PoseError, match="a file that exists, or a preset"):
        presets.resolve("mine")


def test_the_list_has_the_first_line_of_each_card(zoo, capsys):
    with pytest.raises(SystemExit) as end:
        _app("predict").main(["--list"])
    assert not end.value.code
    assert capsys.readouterr().out == "dots_small  three: dots\ndots_tall\n"


def test_predict_takes_a_name(zoo, tmp_path, capsys):
    points = np.array([[80.0, 30.0], [40.0, 120.0], [130.0, 130.0]])
    cv2.imwrite(str(tmp_path / "a.png"), paint((160, 170), points, 2.5 * SIGMA)[..., ::-1])
    run = _app("predict").main
    run(["--model", "dots_small", "--source", f"{tmp_path}/a.png", "--out", f"{tmp_path}/o"])
    assert "a pose in 1" in capsys.readouterr().out
    with pytest.raises(SystemExit) as end:
        run(["--model", "dots_smll", "--source", f"{tmp_path}/a.png", "--out", f"{tmp_path}/o"])
    assert end.value.code == 2 and "Did you mean dots_small?" in capsys.readouterr().err


def test_webcam_never_writes_over_a_preset(zoo, capsys):
    path = presets.find("dots_small")
    before = path.read_bytes()
    with pytest.raises(SystemExit):
        _app("webcam").main(["--model", "dots_small", "--headless", "--json", str(path)])
    assert "overwritten" in capsys.readouterr().err and path.read_bytes() == before


def test_scores_and_timings_take_a_name(zoo, tmp_path):
    assert PoseEstimator("dots_small").metadata.model == "Dots"
    assert evaluate.open_model("dots_small")[2] == (64, 64)  # the .tflite
    assert evaluate.open_model("dots_small", "heatmaps")[2] == (32, 32)  # the .keras
    (timing,) = benchmark.compare(["dots_small"], rounds=1)
    assert timing.path == "dots_small" and timing.about.startswith("Dots")
    assert timing.size == presets.find("dots_small").stat().st_size


def test_training_begins_from_a_name(zoo):
    source = network.load("dots_tall")
    assert isinstance(source, network.PoseNetwork)
    twin = models.RePoseLite(**ARGUMENTS, **WIDTHS)
    start(twin, None, "dots_tall")
    for a, b in zip(source.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    other = models.RePoseLite(**{**ARGUMENTS, **WIDTHS, "keypoint_channels": 3})
    with pytest.raises(PoseError, match="dots_tall"):
        start(other, None, "dots_tall")
    with pytest.raises(PoseError, match=r"imagenet.*dots_tall"):
        start(other, None, "dots_tal")


def test_the_wheel_has_every_room_and_the_zoo(tmp_path):
    pytest.importorskip("setuptools", minversion="77")  # as pyproject.toml asks for
    source, site = tmp_path / "source", tmp_path / "site"
    leave = shutil.ignore_patterns("__pycache__")
    for name in ("keras_pose", "zoo"):
        shutil.copytree(ROOT / name, source / name, ignore=leave)
    for name in ("pyproject.toml", "requirements.txt", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    (source / "zoo" / "notes.txt").write_text("not of a preset")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-index", "--no-deps"]
    build = [*pip, "wheel", *offline, "--no-build-isolation", "--wheel-dir", tmp_path, source]
    done = subprocess.run(build, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith("keras_pose/")}
    kinds = ("*.py", "*.tflite", "*.keras", presets.CARD)
    wanted = {p.relative_to(source) for k in kinds for p in (source / "keras_pose").rglob(k)}
    wanted |= {
        "keras_pose" / p.relative_to(source) for k in kinds for p in (source / "zoo").rglob(k)
    }
    assert packed == {path.as_posix() for path in wanted}

    subprocess.run([*pip, "install", *offline, "--target", site, wheel], check=True)
    code = "from keras_pose import presets as p; print(p.folder(), *p.names())"
    environment = os.environ | {"PYTHONPATH": str(site)}
    command = [sys.executable, "-c", code]
    said = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert said.stdout.split() == [str(site / "keras_pose" / "zoo"), *presets.names()], said.stderr
