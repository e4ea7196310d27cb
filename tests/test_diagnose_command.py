"""Diagnoses of results files and models, and what the command leaves."""

import csv
import importlib.util
import json
import re

import cv2
import numpy as np
import pytest
from conftest import ROOT
from dots import DotsReader

from keras_pose.data.open import open_reader
from keras_pose.errors import PoseError
from keras_pose.metrics import diagnosis as kinds
from keras_pose.skeletons import COCO17, LSP14
from keras_pose.training import diagnosis, diagnosis_report, evaluate

RNG = np.random.default_rng(3)
PICTURES, PERSONS = 3, 2
MIRROR = list(COCO17.mirror)
# both persons of a picture are of one size and far apart, their key points spread over 200 pixels
POSES = RNG.permuted(np.tile(np.arange(17) * 12.0, (PICTURES, PERSONS, 2, 1)), axis=-1)
POSES = POSES.swapaxes(-1, -2) + np.array([[20.0, 20.0], [420.0, 20.0]])[:, None]


@pytest.fixture
def data(tmp_path):
    """A COCO folder of 3 pictures with 2 persons each and a crowd; only file names matter."""
    (tmp_path / "val").mkdir()
    images, annotations = [], []
    for i in range(PICTURES):
        cv2.imwrite(str(tmp_path / "val" / f"{i}.png"), np.zeros((8, 8, 3), np.uint8))
        images.append({"id": 10 + i, "file_name": f"{i}.png"})
        for p in range(PERSONS):
            points = np.column_stack([POSES[i, p], np.full(17, 2)]).ravel().tolist()
            annotations.append(_annotation(len(annotations), 10 + i, points, p))
    annotations.append({**_annotation(99, 10, [0] * 51, 0), "iscrowd": 1, "num_keypoints": 0})
    category = {"id": 1, "name": "person", "keypoints": COCO17.keypoints, "skeleton": []}
    content = {"images": images, "annotations": annotations, "categories": [category]}
    (tmp_path / "val.json").write_text(json.dumps(content))
    return tmp_path


def _annotation(number, picture, points, p):
    return {
        "id": number, "image_id": picture, "category_id": 1, "iscrowd": 0, "keypoints": points,
        "num_keypoints": 17, "bbox": [20 + 400 * p, 20, 200, 200], "area": 20000.0,
    }  # fmt: skip


def result(i, points, score=0.5):
    triples = np.column_stack([points, np.ones(17)]).ravel().tolist()
    return {"image_id": 10 + i, "category_id": 1, "keypoints": triples, "score": score}


def everybody(change=lambda points: points):
    return [result(i, change(POSES[i, p])) for i in range(PICTURES) for p in range(PERSONS)]


def means(data, results, least=0.1):
    path = data / "results.json"
    path.write_text(json.dumps(results))
    found = diagnosis.of_results(path, open_reader(data, "val"), least)
    return {c: v for c, v in found.frequencies()["mean"].items() if v}, found


def test_truth_as_results_is_good(data):
    mean, found = means(data, everybody())
    assert mean == {"good": 100.0} and len(found.codes) == PICTURES * PERSONS
    assert found.annotated()["mean"] == PICTURES * PERSONS * 17


def test_swapped_sides_and_swapped_key_points_in_a_file(data):
    mean, _ = means(data, everybody(lambda points: points[MIRROR]), least=0.0)
    assert mean == {"good": pytest.approx(100 / 17), "inversion": pytest.approx(1600 / 17)}

    def swapped(results):  # the right ankle of the picture's other person
        for one, other in zip(results[::2], results[1::2], strict=True):
            a, b = one["keypoints"][-3:], other["keypoints"][-3:]
            one["keypoints"][-3:], other["keypoints"][-3:] = b, a
        return results

    _, found = means(data, swapped(everybody()))
    table = found.frequencies()
    assert table["right_ankle"]["swap"] == 100.0 and table["nose"]["good"] == 100.0


def test_points_without_an_answer_are_misses(data):
    results = everybody()
    results[0]["keypoints"][:3] = [0, 0, 0]
    _, found = means(data, results)
    assert found.frequencies()["nose"]["miss"] == pytest.approx(100 / 6)


def test_who_has_no_pose_and_which_pose_has_nobody_is_told(data):
    results = everybody()[:-1] + [result(0, POSES[0, 0], 0.4), result(1, POSES[1, 0] + 5000)]
    mean, found = means(data, results)
    assert mean == {"good": 100.0} and len(found.codes) == 5
    assert "1 of 6 annotated persons" in found.table() and "2 of 7 poses" in found.table()


def test_the_better_score_chooses_first(data):
    moved = POSES[0, 0] + (6.0, 0.0)
    for score, kind in ((0.9, "jitter"), (0.1, "good")):
        _, found = means(data, [result(0, POSES[0, 0]), result(0, moved, score)])
        assert len(found.codes) == 1 and found.frequencies()["nose"][kind] == 100.0


def test_results_that_fit_nothing_are_refused(data, tmp_path):
    for results, part in (
        ([], "at least one annotated"),
        ([{**everybody()[0], "image_id": 77}], "77"),
        ([{**everybody()[0], "keypoints": [1, 2, 3]}], "51 numbers"),
        ([{**everybody()[0], "category_id": 5}], "all of category 5"),
        ([{**everybody()[0], "score": float("nan")}], "finite"),
    ):
        with pytest.raises(PoseError, match=part):
            means(data, results)
    with pytest.raises(PoseError, match="COCO data"):
        diagnosis.of_results("results.json", DotsReader(2))


def test_a_model_is_diagnosed_on_its_own_persons(monkeypatch):
    reader = DotsReader(7, broken=[3])

    def centre(patches):
        points = np.array([patches.shape[2] - 1, patches.shape[1] - 1]) / 2
        return np.tile(points, (len(patches), 14, 1)), np.ones((len(patches), 14))

    opened = (centre, LSP14, (64, 64), 1.25)
    monkeypatch.setattr(evaluate, "open_model", lambda path: opened)
    found = diagnosis.of_model("centre", reader, limit=4)  # persons 0, 2, 4 and 6
    samples = [reader.samples[n] for n in (0, 2, 4, 6)]
    truth, seen = (np.stack([getattr(s, f) for s in samples]) for f in ("keypoints", "visible"))
    boxes = np.stack([s.box for s in samples])
    middle = np.repeat((boxes[:, :2] + boxes[:, 2:] / 2)[:, None], 14, axis=1)
    area = kinds.area_from_extent(truth, seen)
    assert (found.codes == kinds.classify(middle, truth, seen, area, LSP14)).all()
    assert len(diagnosis.of_model("centre", reader).codes) == 6


def test_persons_without_a_size_are_left_out_and_counted():
    reader = DotsReader(3)
    seen = reader.samples[1].visible
    seen[:] = False
    seen[4] = True  # one point has no extent
    truth = np.stack([s.keypoints for s in reader.samples])
    found = diagnosis.diagnose("truth", truth, reader.samples, [0, 1, 2], LSP14)
    assert len(found.codes) == 2 and found.frequencies()["mean"]["good"] == 100.0
    assert "1 persons left out" in found.table()


def test_results_are_diagnosed_without_the_pictures(data, capsys):
    path = data / "results.json"
    path.write_text(json.dumps(everybody(lambda points: points[MIRROR])))
    found = diagnosis.of_results(path, open_reader(data, "val"))
    (data / "val" / "1.png").unlink()
    assert len(open_reader(data, "val")) == (PICTURES - 1) * PERSONS
    for picture in (data / "val").iterdir():
        picture.unlink()
    reader = open_reader(data, "val", pictures=False)
    assert (diagnosis.of_results(path, reader).codes == found.codes).all()
    _command().main([str(path), "--data", str(data)])
    assert found.table() in capsys.readouterr().out
    with pytest.raises(SystemExit):
        _command().main([str(path), "model.keras", "--data", str(data)])
    assert "picture is gone" in capsys.readouterr().err


def _command():
    spec = importlib.util.spec_from_file_location("diagnose", ROOT / "train" / "diagnose.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def test_the_command_prints_and_writes_before_and_after(data, capsys):
    script = _command()
    before, after = data / "before.json", data / "after.json"
    before.write_text(json.dumps(everybody(lambda points: points + 6.0)))
    after.write_text(json.dumps(everybody()))
    outputs = ["--out", str(data / "errors.png"), "--csv", str(data / "errors.csv")]
    script.main([str(before), str(after), "--data", str(data), *outputs])
    said = capsys.readouterr().out
    assert said.count("right_ankle") == 2 and "crowd" in said
    rows = list(csv.DictReader((data / "errors.csv").open()))
    told = re.search(rf"{re.escape(str(after))} +100.0 \( *\+([0-9.]+)\)", said)
    assert 10 < float(told[1]) == pytest.approx(100 - float(rows[0]["good"]), abs=0.06)
    assert len(rows) == 2 * 18 and {r["name"] for r in rows} == {str(before), str(after)}
    for row in rows:
        assert sum(float(row[c]) for c in kinds.CLASSES) == pytest.approx(100, abs=0.01)
    picture = cv2.imread(str(data / "errors.png"))
    assert picture.shape[0] > 300 and len(np.unique(picture.reshape(-1, 3), axis=0)) > 5
    with pytest.raises(SystemExit):
        script.main([str(after), "--data", str(data), "--csv", str(data / "no" / "errors.csv")])
    assert "can be written" in capsys.readouterr().err


def test_bars_are_as_long_as_their_shares(tmp_path):
    codes = np.full((4, 14), kinds.GOOD, np.int8)
    codes[0] = kinds.MISS
    one = diagnosis.Diagnosis("one", codes, LSP14)
    diagnosis_report.draw(tmp_path / "bars.png", [one])
    picture = cv2.imread(str(tmp_path / "bars.png")).reshape(-1, 3)[:, ::-1]

    def painted(color):
        rgb = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
        return (picture == rgb).all(axis=1).sum()

    colors = dict(zip(kinds.CLASSES, diagnosis_report._COLORS, strict=True))
    good, miss = painted(colors["good"]), painted(colors["miss"])
    assert good / miss == pytest.approx(3, rel=0.1)
    other = diagnosis.Diagnosis("other", codes[:, :3], COCO17)
    with pytest.raises(PoseError, match="other with the key points"):
        diagnosis_report.draw(tmp_path / "bars.png", [one, other])
