"""The whole export on files, its check, calibration pictures, and the two scripts."""

import json
import runpy
import sys

import numpy as np
import pytest
from conftest import ROOT
from dots import DotsReader
from export_helpers import DISCS, SIZE, discs, held_out, made, network, write_coco

from keras_pose import export, geometry, metadata, presets
from keras_pose.data import open_reader
from keras_pose.data.subset import Subset
from keras_pose.errors import PoseError
from keras_pose.export import check, job
from keras_pose.export.job import export as run_job
from keras_pose.runtime import PoseEstimator, benchmark, cut


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A network file and labelled pictures of what it finds."""
    folder = tmp_path_factory.mktemp("export")
    network().save(folder / "best.keras")
    write_coco(folder / "data", {"train": 40, "val": 40})
    write_coco(folder / "others", {"train": 2, "val": 2}, names=("nose", "left_eye", "right_eye"))
    return folder


def script(monkeypatch, name, *arguments):
    """Runs a script of convert/ and returns its exit status."""
    monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
    try:
        runpy.run_path(str(ROOT / "convert" / name), run_name="__main__")
    except SystemExit as end:
        return end.code
    return 0


def test_int8_is_calibrated_checked_and_reported(folder):
    data = folder / "data"
    out = folder / "new" / "pose.tflite"
    done = run_job(folder / "best.keras", out, "int8", "uint8", calibrate=data, check=data)
    assert done.passed and done.check.reference > 60, "the network finds the discs"
    assert done.check.drop <= 1.0
    assert done.contents.coverage == 100
    assert done.agreement["pictures"] == 32
    assert done.agreement["median"] < 0.5

    about = metadata.read(out)
    assert about.metrics["pck@0.2"] == pytest.approx(done.check.pck)
    assert about.metrics["pck@0.2_fp32"] == pytest.approx(done.check.reference, abs=1e-3)
    assert about.threshold == about.metrics["threshold"] != network().notes["threshold"]
    values = json.loads(out.with_suffix(".json").read_text())
    assert values["drop"] == done.check.drop and values["passed"]
    assert values["size"] == done.contents.size
    for line in ("100 % of the network's", "px apart", "PCK@0.2", "within the 1 allowed"):
        assert line in done.text()
    assert PoseEstimator(out).predict_patch(held_out()[0][0])[0].shape == (3, 2)


def test_pictures_are_cut_with_the_margin_that_the_network_was_trained_with(folder, monkeypatch):
    seen, plain = [], job.calibration.patches

    def watched(*arguments, crop_margin=None, **named):
        seen.append(crop_margin)
        return plain(*arguments, crop_margin=crop_margin, **named)

    monkeypatch.setattr(job.calibration, "patches", watched)
    data = {"calibrate": folder / "data", "check": folder / "data"}
    run_job(folder / "best.keras", folder / "m.tflite", "int8", count=4, limit=2, **data)
    assert seen == [1.3, 1.3]


def test_the_check_tells_a_good_file_from_a_bad_one(folder):
    val = open_reader(folder / "data", "val")
    for path, model in ((folder / "good.tflite", made()), (folder / "bad.tflite", _narrow())):
        path.write_bytes(model)
    good = check.check(network(), folder / "good.tflite", "fp32", val, 1.3)
    assert good.drop == 0 and good.passed
    bad = check.check(network(), folder / "bad.tflite", "int8", val, 1.3, max_drop=1.0)
    assert bad.reference == pytest.approx(good.pck, abs=1e-3)
    assert bad.drop > 5 and not bad.passed
    assert "MORE THAN the 1 allowed" in bad.text()


def _narrow():
    """int8 calibrated with one grey picture: what activations do on real ones is cut off."""
    grey = np.full((1, *SIZE, 3), 127, np.uint8)
    return export.to_tflite(network(), "int8", calibration=grey)


def test_script_fails_on_a_drop_and_leaves_the_file(folder, monkeypatch, capsys):
    arguments = [folder / "best.keras", "--format", "dynamic", "--check", folder / "data"]
    status = script(monkeypatch, "export.py", *arguments, "--limit", 10, "--max-drop", -200)
    assert status == 1
    assert (folder / "best_dynamic.tflite").exists()
    assert not json.loads((folder / "best_dynamic.json").read_text())["passed"]
    heard = capsys.readouterr()
    assert "built-in operations only" in heard.out
    assert "--max-drop -200" in heard.err and "left in place" in heard.err


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["best.keras", "--format", "int8"], "--calibrate"),
        (["none.keras"], "none.keras"),
        (["best.keras", "--format", "int8", "--calibrate", "others"], "best.keras"),
        (["best.keras", "--check", "others"], "best.keras"),
        (["best.keras", "--check", "nowhere"], "nowhere"),
        (["best.keras", "--out", "best.keras/x.tflite"], "--out"),
        (["best.keras", "--out", "best.keras"], "ends in .tflite"),
        (["best.keras", "--out", "pose.json"], "ends in .tflite"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_script_refuses(folder, monkeypatch, capsys, arguments, named):
    monkeypatch.chdir(folder)
    before = sorted(folder.rglob("*"))
    assert script(monkeypatch, "export.py", *arguments) == 2
    assert sorted(folder.rglob("*")) == before
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["error:", "received"] and len(lines) == 3
    assert named in " ".join(lines)


def test_a_preset_is_never_overwritten_unasked(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(presets, "folder", lambda: tmp_path / "zoo")
    made = tmp_path / "zoo" / "dots"
    made.mkdir(parents=True)
    model = made / presets.KERAS
    model.write_bytes((folder / "best.keras").read_bytes())
    (made / presets.FP16).write_bytes(b"published")
    with pytest.raises(PoseError, match="--out"):
        run_job(model, precision="fp16")
    assert (made / presets.FP16).read_bytes() == b"published"
    run_job(model, made / "model_dynamic.tflite", "dynamic")  # asked for


def test_calibration_patches_are_the_crops_that_apps_cut():
    reader = DotsReader(30)
    found = list(export.patches(reader, SIZE, count=10, seed=4))
    again = list(export.patches(reader, SIZE, count=10, seed=4))
    other = list(export.patches(reader, SIZE, count=10, seed=5))
    np.testing.assert_array_equal(found, again)
    assert not np.array_equal(found, other)

    def crop(sample):
        return cut(reader.image(sample), geometry.crop_box(sample.box, SIZE, 1.25), SIZE)[0]

    expected = {crop(sample).tobytes() for sample in Subset(reader, 10).samples}
    assert {patch.tobytes() for patch in found} == expected
    assert {patch.tobytes() for patch in other} == expected
    assert len(list(export.patches(reader, SIZE, count=0))) == 30


def test_calibration_counts_unreadable_pictures_and_refuses_none():
    reader = DotsReader(6, broken=(1, 3))
    assert len(list(export.patches(reader, SIZE))) == 4
    assert reader.skips.count == 2
    for empty in (DotsReader(0), DotsReader(2, broken=(0, 1))):
        with pytest.raises(PoseError, match="readable person"):
            list(export.patches(empty, SIZE))


def test_benchmark_times_any_file_against_the_first(tmp_path, monkeypatch, capsys):
    paths = []
    for name, model in (
        ("large", metadata.strip(made("int16x8", "uint8"))),  # a foreign file: no metadata
        ("small", made("int8", "uint8", "heads")),
    ):
        paths.append(tmp_path / f"{name}.tflite")
        paths[-1].write_bytes(model)
    timings = benchmark.compare(paths, rounds=7)
    assert [t.ratio == 1.0 for t in timings] == [True, False]
    assert timings[1].ratio < 0.8, "int16 has no fast kernels, int8 has"
    assert all(0 < t.fastest <= t.median for t in timings)
    assert [t.about for t in timings] == ["", "SketchPose int8 heads"]
    assert timings[0].inputs == "uint8 1x64x64x3"

    csv = tmp_path / "latency.csv"
    assert script(monkeypatch, "benchmark.py", *paths, "--rounds", 3, "--csv", csv) == 0
    command, header, first, second = csv.read_text().splitlines()
    assert command.startswith("# python convert/benchmark.py ") and "--rounds 3" in command
    assert header.split(",")[-1] == "ratio_to_first"
    assert first.startswith("large.tflite,") and first.endswith(",1.000")
    assert second.startswith("small.tflite,")
    assert "median ms" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "content"), [("none", None), ("text", b"not a model at all")])
def test_benchmark_refuses(tmp_path, monkeypatch, capsys, name, content):
    path = tmp_path / f"{name}.tflite"
    if content:
        path.write_bytes(content)
    assert script(monkeypatch, "benchmark.py", path) == 2
    assert f"{name}.tflite" in capsys.readouterr().err
    with pytest.raises(PoseError, match="0 rounds"):
        benchmark.compare([path], rounds=0)


def test_discs_are_a_person():
    """The torso that PCK divides by joins two of the three discs."""
    assert {"left_shoulder", "right_hip"} < set(DISCS.keypoints)
    assert discs(1, 0)[1].shape == (1, DISCS.count, 2)
