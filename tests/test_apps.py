"""apps/predict.py and apps/webcam.py as a user runs them, and without Keras and TensorFlow."""

import json
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
from conftest import ROOT
from runtime_helpers import SIGMA, SKELETON, dots_model, paint, turned_jpeg

from keras_pose.runtime import PoseEstimator, VideoSink, VideoSource, find_person, search

POINTS = np.array([[30.0, 6.0], [12.0, 50.0], [52.0, 52.0]])  # in a crop of 64


def _place(scale, x, y):
    return POINTS * scale + (x, y)


def _write(path, size, points, sigma):
    image = paint(size, points, sigma)
    assert cv2.imwrite(str(path), image[..., ::-1])
    return points


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "dots.tflite"
    path.write_bytes(dots_model(threshold=0.5, model="Dots"))
    return path


@pytest.fixture(scope="module")
def blocked(tmp_path_factory):
    """A folder for PYTHONPATH in which the packages of a workstation cannot be imported."""
    folder = tmp_path_factory.mktemp("blocked")
    for name in ("keras", "tensorflow", "scipy", "matplotlib", "jax", "tqdm"):
        (folder / f"{name}.py").write_text(f"raise ImportError('{name} is blocked')\n")
    return folder


@pytest.fixture
def app(blocked, model):
    def run(name, *arguments, code=0, **extra):
        environment = {k: v for k, v in os.environ.items() if not k.endswith("DISPLAY")}
        environment |= {"PYTHONPATH": str(blocked), **extra}
        command = [sys.executable, str(ROOT / "apps" / name), "--model", str(model)]
        result = subprocess.run(
            [*command, *map(str, arguments)], capture_output=True, text=True, env=environment
        )
        assert result.returncode == code, result.stderr
        return result.stdout if code == 0 else result.stderr

    return run


def test_the_runtime_imports_nothing_of_a_workstation(blocked):
    code = (
        "import sys, keras_pose, keras_pose.runtime, keras_pose.runtime.pictures, "
        "keras_pose.runtime.stream\n"
        "rooms = {'layers', 'models', 'losses', 'task', 'data', 'training', 'export', 'warp'}\n"
        "print(sorted(m for m in sys.modules if m.startswith('keras_pose.') "
        "and m.split('.')[1] in rooms))"
    )
    environment = os.environ | {"PYTHONPATH": str(blocked)}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "[]"


def test_a_folder_of_pictures(app, tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    sigma = 2.5 * SIGMA
    truth = {
        "a.png": _write(folder / "a.png", (200, 300), _place(2.5, 90, 20), sigma),
        "b.jpg": _write(folder / "b.jpg", (220, 180), _place(2.5, 10, 30), sigma),
    }
    grey = np.full((80, 90), 127, np.uint8)
    cv2.imwrite(str(folder / "grey.png"), grey)
    cv2.imwrite(str(folder / "one.png"), grey[:1, :1])
    picture = paint((200, 300), _place(2.5, 90, 20), sigma)[..., ::-1]
    cv2.imwrite(str(folder / "rgba.png"), np.dstack([picture, grey[0, 0] + 0 * picture[..., 0]]))
    truth["rgba.png"] = truth["a.png"]
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    (folder / "notes.txt").write_text("not a picture either")
    said = app("predict.py", "--source", folder, "--out", out, "--json")
    assert "5 pictures, a pose in 3, 1 skipped" in said and "broken.jpg" in said
    results = json.loads((out / "results.json").read_text())
    assert results["keypoints"] == list(SKELETON.keypoints) and results["model"] == "Dots"
    assert [s["source"] for s in results["skipped"]] == ["broken.jpg"]
    assert [r["source"] for r in results["results"]] == [
        "a.png", "b.jpg", "grey.png", "one.png", "rgba.png"
    ]  # fmt: skip
    for entry in results["results"]:
        drawn = cv2.imread(str(out / entry["source"]))
        original = cv2.imread(str(folder / entry["source"]))
        assert list(drawn.shape[:2]) == entry["size"] == list(original.shape[:2])
        if entry["source"] not in truth:
            assert entry["pose"] is None
            continue
        points = [(p["x"], p["y"]) for p in entry["pose"]["keypoints"]]
        assert np.abs(np.array(points) - truth[entry["source"]]).max() < 1.0
        assert [p["name"] for p in entry["pose"]["keypoints"]] == list(SKELETON.keypoints)
        assert (np.abs(drawn.astype(int) - original).max(axis=2) > 60).any()


def test_a_picture_with_and_without_a_box(app, tmp_path):
    # two persons; without a box one of them is found, with it the one that is meant
    sigma = 1.5 * SIGMA
    points = [_place(1.5, 10, 60), _place(1.5, 210, 50)]
    image = np.minimum(*(paint((200, 320), p, sigma).astype(int) for p in points))
    image = sum(paint((200, 320), p, sigma).astype(int) - 127 for p in points) + 127
    cv2.imwrite(str(tmp_path / "two.png"), np.clip(image, 0, 255).astype(np.uint8)[..., ::-1])
    for i, box in enumerate(("20,65,72,75", "220,55,72,75")):
        app("predict.py", "--source", tmp_path / "two.png", "--out", tmp_path / "o", "--json",
            "--box", box)  # fmt: skip
        (entry,) = json.loads((tmp_path / "o" / "results.json").read_text())["results"]
        found = np.array([(p["x"], p["y"]) for p in entry["pose"]["keypoints"]])
        assert np.abs(found - points[i]).max() < 1.0


@pytest.mark.parametrize("name", ["person.jfif", "person"])
def test_a_picture_of_a_kind_without_a_writer_is_drawn_as_png(app, tmp_path, name):
    content = cv2.imencode(".jpg", np.full((40, 50, 3), 127, np.uint8))[1].tobytes()
    (tmp_path / name).write_bytes(content)
    app("predict.py", "--source", tmp_path / name, "--out", tmp_path / "o")
    assert cv2.imread(str(tmp_path / "o" / f"{name}.png")).shape == (40, 50, 3)


def test_a_photograph_is_turned_as_its_exif_entry_says(app, tmp_path):
    (tmp_path / "turned.jpg").write_bytes(turned_jpeg(np.full((40, 60, 3), 127, np.uint8)))
    app("predict.py", "--source", tmp_path / "turned.jpg", "--out", tmp_path / "o", "--json")
    assert cv2.imread(str(tmp_path / "o" / "turned.jpg")).shape == (60, 40, 3)
    (entry,) = json.loads((tmp_path / "o" / "results.json").read_text())["results"]
    assert entry["size"] == [60, 40]


def test_a_small_person_in_a_large_picture_is_found_by_a_second_look(model):
    points = _place(3.0, 700, 300)
    pose = find_person(PoseEstimator(model), paint((720, 1280), points, 3.0 * SIGMA))
    assert pose is not None and np.abs(pose.keypoints - points).max() < 1.0
    assert max(pose.box[2:]) < 300


def test_a_banner_is_not_cut_into_thousands_of_tiles():
    assert len(search.plan((1, 10_000), (64, 64))) == 1
    assert len(search.plan((100, 2000), (64, 64))) > 20


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--source", "missing.png"], "missing.png"),
        (["--source", "empty"], "without any"),
        (["--source", "bad"], "1 unreadable"),
        (["--source", "bad/bad.png"], "bad.png"),
        (["--source", "bad", "--box", "1,2,3,4"], "one picture"),
        (["--source", "bad/bad.png", "--box", "1,2,3"], "--box x,y,w,h"),
        (["--source", "bad", "--out", "bad"], "other than the source"),
        (["--source", "bad/text.mp4"], "text.mp4"),
        (["--source", "good.png", "--out", "bad/bad.png"], "bad.png"),
        (["--source", "good.png", "--out", "taken"], "taken/good.png"),
        (["--source", "good.png", "--threads", "0"], "0 threads"),
    ],
)
def test_predict_refuses_in_three_parts(app, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "bad.png").write_bytes(b"no picture")
    (tmp_path / "bad" / "text.mp4").write_bytes(b"no video")
    cv2.imwrite("good.png", np.zeros((20, 30, 3), np.uint8))
    (tmp_path / "taken" / "good.png").mkdir(parents=True)
    if "--out" not in arguments:
        arguments = [*arguments, "--out", "out"]
    said = app("predict.py", *arguments, code=2)
    assert message in said and "error: expected" in said and "received" in said
    assert (tmp_path / "bad" / "bad.png").read_bytes() == b"no picture"


def test_a_model_without_metadata_is_refused(app, tmp_path):
    plain = tmp_path / "plain.tflite"
    plain.write_bytes(dots_model(attach=False))
    said = app("predict.py", "--model", plain, "--source", tmp_path, "--out", "out", code=2)
    assert "without it" in said and "convert/export.py" in said


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A person of three dots who comes after 10 frames, walks for 30 and is gone for 15."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    truth = [None] * 10 + [_place(2.0, 40 + 3 * i, 60 + i) for i in range(30)] + [None] * 15
    with VideoSink(path, 25) as sink:
        for points in truth:
            if points is None:
                sink.write(np.full((240, 320, 3), 127, np.uint8))
            else:
                sink.write(paint((240, 320), points, 2.0 * SIGMA))
    return path, truth


def _check_frames(results, truth):
    frames = results["results"]
    assert [f["frame"] for f in frames] == list(range(len(truth)))
    near = []
    for entry, points in zip(frames, truth, strict=True):
        pose = entry["pose"]
        if points is None:
            near.append(pose is None)
        else:
            found = pose and np.array([(p["x"], p["y"]) for p in pose["keypoints"]])
            near.append(pose is not None and np.abs(found - points).max() < 8)
    assert np.mean(near) > 0.85


def test_webcam_on_a_video_without_a_screen(app, clip, tmp_path):
    path, truth = clip
    saved, poses = tmp_path / "new" / "out.mp4", tmp_path / "new" / "poses.json"
    said = app("webcam.py", "--source", path, "--headless", "--save", saved, "--json", poses)
    assert "55 frames" in said and "frames a second" in said
    results = json.loads(poses.read_text())
    _check_frames(results, truth)
    assert results["frames"] == 55 and results["note"] is None and results["size"] == [240, 320]
    np.testing.assert_allclose([f["seconds"] for f in results["results"]], np.arange(55) / 25)
    with VideoSource(saved) as source, VideoSource(path) as original:
        pairs = [(a, b) for (_, a), (_, b) in zip(source, original, strict=True)]
    assert len(pairs) == 55 and pairs[0][0].shape == (240, 320, 3)
    below = [np.abs(a[60:].astype(int) - b[60:]).max() for a, b in pairs]  # under the caption
    assert np.median(below[20:38]) > 80 > np.median(below[:8])


@pytest.mark.parametrize("name", ["predict.py", "webcam.py"])
def test_the_threshold_of_the_command_line_counts(app, clip, tmp_path, name):
    where = ["--headless", "--json", tmp_path / "o.json"] if name == "webcam.py" else []
    where = where or ["--out", tmp_path / "o"]
    said = app(name, "--source", clip[0], *where, "--threshold", "1.5")
    assert "55 frames, a pose in 0" in said


def test_predict_on_a_video(app, clip, tmp_path):
    path, truth = clip
    app("predict.py", "--source", path, "--out", tmp_path / "o", "--json")
    _check_frames(json.loads((tmp_path / "o" / "results.json").read_text()), truth)
    with VideoSource(tmp_path / "o" / "clip.mp4") as source:
        assert len(list(source)) == 55


def test_a_video_that_ends_early_ends_the_run_cleanly(app, tmp_path):
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, (160, 96))
    for i in range(20):
        writer.write(np.full((96, 160, 3), 10 * i, np.uint8))
    writer.release()
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    poses = tmp_path / "poses.json"
    said = app("webcam.py", "--source", path, "--headless", "--json", poses)
    results = json.loads(poses.read_text())
    assert "of 20 frames" in said and "of 20 frames" in results["note"]
    assert 0 < len(results["results"]) == results["frames"] < 20


def test_webcam_refuses_in_three_parts(app, clip):
    assert "--headless --save" in app("webcam.py", "--source", clip[0], code=2)  # no screen
    assert "--save out.mp4" in app("webcam.py", "--source", clip[0], "--headless", code=2)
    before = clip[0].read_bytes()
    for option in ("--save", "--json"):
        said = app("webcam.py", "--source", clip[0], "--headless", option, clip[0], code=2)
        assert "overwritten" in said and clip[0].read_bytes() == before
    said = app("webcam.py", "--source", "93", "--headless", "--json", os.devnull, code=2)
    assert "camera 93" in said
    if "GUI:                           NONE" in cv2.getBuildInformation():
        said = app("webcam.py", "--source", clip[0], code=2, DISPLAY=":0")
        assert "opencv-python" in said
