"""COCO's way of scoring a predictor: the pipeline from boxes to results and their table."""

import json
import runpy
import sys

import cv2
import numpy as np
import pytest
import tiny
from coco_data import generated
from conftest import ROOT

from keras_pose import geometry
from keras_pose.data.coco import CocoReader
from keras_pose.data.lsp import LspReader
from keras_pose.data.results_file import read_results
from keras_pose.errors import PoseError
from keras_pose.metrics.coco_ap import MISSING, average_precision
from keras_pose.training import coco

SIZE = (64, 48)


@pytest.fixture
def dataset(tmp_path):
    """A COCO folder of blank pictures with the annotations of `generated`; returns a function."""

    def make(annotations=None, pictures=8, count=3):
        content = generated(pictures, count, smallest=40)
        names = [f"left_{n}" for n in range(count)]
        content["categories"] = [{"id": 1, "name": "thing", "keypoints": names}]
        if annotations is not None:
            content["annotations"] = annotations(content["annotations"])
        (tmp_path / "images").mkdir(exist_ok=True)
        for image in content["images"]:
            image["file_name"] = f"{image['id']}.png"
            path = tmp_path / "images" / image["file_name"]
            cv2.imwrite(str(path), np.zeros((320, 340, 3), np.uint8))
        path = tmp_path / "val.json"
        path.write_text(json.dumps(content))
        return path

    return make


def told(chosen, points, scores, margin=1.25):
    """A predictor that answers for each place in turn, given in the picture's pixels."""
    left = iter(zip(chosen, points, scores, strict=True))

    def predict(patches):
        found = []
        for _, (place, said, score) in zip(patches, left, strict=False):
            box = geometry.crop_box(place.box, SIZE, margin)
            found.append((geometry.apply(geometry.box_to_size(box, SIZE), said), score))
        return tuple(np.stack(parts) for parts in zip(*found, strict=True))

    return predict


def knowing(reader, scores=0.5):
    """A predictor that knows the labelled persons' key points."""
    points = [s.keypoints for s in reader.samples]
    return told(reader.samples, points, np.full((len(points), reader.skeleton.count), scores))


def test_a_predictor_that_knows_scores_one(dataset):
    reader = CocoReader(dataset(), [dataset().parent / "images"])
    report = coco.evaluate(knowing(reader), reader, SIZE)
    assert set(report.scores.values()) <= {1.0, MISSING} and report.scores["AP"] == 1
    assert report.poses == report.persons == len(reader) and report.suppressed == 0
    truth = {(a["image_id"], *a["bbox"]): a for a in reader.truth()["annotations"]}
    assert len(report.results) == len(truth)
    for sample in reader.samples:
        said = [r for r in report.results if r["image_id"] == sample.picture]
        spots = np.array([r["keypoints"] for r in said]).reshape(len(said), -1, 3)
        away = np.abs(spots[..., :2] - sample.keypoints).max(axis=(1, 2))
        assert away.min() < 2e-3  # unshifted: half a pixel would be 0.5
    assert {r["score"] for r in report.results} == {0.5}


def test_what_an_annotation_lacks_is_filled_in(dataset):
    def bare(annotations):
        first = annotations[0]
        for key in ("area", "iscrowd", "num_keypoints", "bbox"):
            del first[key]
        annotations[1]["area"] = 0
        annotations[2]["keypoints"][3] = float("nan")
        annotations[2]["num_keypoints"] = None
        return annotations

    reader = CocoReader(dataset(bare), [dataset(bare).parent / "images"])
    first, second, third = reader.truth()["annotations"][:3]
    points = np.reshape(first["keypoints"], (-1, 3))
    labelled = points[points[:, 2] > 0]
    assert first["num_keypoints"] == len(labelled) and first["iscrowd"] == 0
    assert first["bbox"][:2] == labelled[:, :2].min(axis=0).tolist()
    assert second["area"] == pytest.approx(0.53 * second["bbox"][2] * second["bbox"][3])
    assert third["keypoints"][3:6] == [0, 0, 0]
    assert third["num_keypoints"] == sum(v > 0 for v in third["keypoints"][2::3])
    assert [s.label for s in reader.samples[:2]] == [1, 2]
    assert reader[1].area == second["area"] and reader[1].picture == second["image_id"]


def detections(path, reader, change=lambda n, entry: [entry]):
    """A file of the annotations' boxes with scores, each changed into any number of boxes."""
    boxes = [a["bbox"] for a in reader.truth()["annotations"]]
    entries = [
        {"image_id": s.picture, "category_id": 1, "bbox": box, "score": 0.8}
        for s, box in zip(reader.samples, boxes, strict=True)
    ]
    found = [made for n, entry in enumerate(entries) for made in change(n, entry)]
    path.write_text(json.dumps(found))
    return path


def test_scores_are_boxes_times_key_points(dataset, tmp_path):
    reader = CocoReader(dataset(), [tmp_path / "images"])
    boxes = detections(tmp_path / "boxes.json", reader)
    report = coco.evaluate(knowing(reader, 0.5), reader, SIZE, detections=boxes)
    assert {r["score"] for r in report.results} == {0.4} and report.scores["AP"] == 1
    assert "boxes.json" in report.table() and json.loads(report.to_json())["AP"] == 100


def test_doubles_are_suppressed_and_the_rest_is_scored(dataset, tmp_path):
    reader = CocoReader(dataset(), [tmp_path / "images"])

    def twice(n, entry):
        return [{**entry, "score": 0.3}, entry]

    boxes = detections(tmp_path / "boxes.json", reader, twice)
    points = [s.keypoints for s in reader.samples for _ in range(2)]
    chosen = coco.places(reader, boxes)
    predict = told(chosen, points, np.ones((len(points), 3)))
    report = coco.evaluate(predict, reader, SIZE, detections=boxes)
    assert report.suppressed == report.poses == len(reader)
    assert {r["score"] for r in report.results} == {0.8} and report.scores["AP"] == 1


@pytest.mark.parametrize(("similarity", "suppressed"), [(0.905, 1), (0.895, 0)])
def test_doubles_are_told_by_the_area_of_the_crop(dataset, tmp_path, similarity, suppressed):
    reader = CocoReader(dataset(pictures=1), [tmp_path / "images"])
    sample = reader.samples[0]
    margin = 1.4
    _, _, width, height = geometry.crop_box(sample.box, SIZE, margin)
    assert width * height > 1.2 * margin**2 * sample.box[2] * sample.box[3]  # the aspect counts too
    sigma = reader.skeleton.sigmas[0]
    assert set(reader.skeleton.sigmas) == {sigma}
    away = np.sqrt(-2 * width * height * (2 * sigma) ** 2 * np.log(similarity))
    chosen = [coco.Place(sample.box, sample.picture, name, sample.source) for name in "ab"]
    points = [sample.keypoints, sample.keypoints + (away, 0)]
    predict = told(chosen, points, np.ones((2, 3)), margin)
    results, gone, _ = coco.find(predict, reader, chosen, SIZE, margin)
    assert (gone, len(results)) == (suppressed, 2 - suppressed)


def test_poses_without_a_finite_score_are_left_out_and_counted(dataset, tmp_path):
    reader = CocoReader(dataset(), [tmp_path / "images"])
    points = [s.keypoints for s in reader.samples]
    scores = np.ones((len(points), 3))
    scores[0, 1], scores[1] = np.nan, np.inf
    report = coco.evaluate(told(reader.samples, points, scores), reader, SIZE)
    assert report.poses == len(reader) - 2 and report.persons == len(reader)
    assert report.scores["AR"] == pytest.approx(1 - 2 / len(reader))
    assert reader.skips.count == 2 and reader[0].name in reader.skips.summary()
    nothing = told(reader.samples, points, np.full_like(scores, np.nan))
    report = coco.evaluate(nothing, reader, SIZE)
    assert report.poses == 0 and report.persons == len(reader) and report.scores["AP"] == 0
    assert reader.skips.count == len(reader)


def test_who_is_not_detected_is_missed(dataset, tmp_path):
    reader = CocoReader(dataset(), [tmp_path / "images"])
    boxes = detections(tmp_path / "boxes.json", reader, lambda n, e: [e] if n % 2 else [])
    known = [s.keypoints for s in reader.samples[1::2]]
    predict = told(coco.places(reader, boxes), known, np.ones((len(known), 3)))
    report = coco.evaluate(predict, reader, SIZE, detections=boxes)
    assert report.persons == len(reader) and report.poses == len(known)
    assert report.scores["AR"] == pytest.approx(len(known) / len(reader))
    boxes.write_text("[]")
    report = coco.evaluate(predict, reader, SIZE, detections=boxes)
    assert report.poses == 0 and max(report.scores.values()) == 0


def test_unreadable_pictures_are_left_out_and_counted(dataset, tmp_path):
    reader = CocoReader(dataset(), [tmp_path / "images"])
    broken = reader[0].source
    broken.write_bytes(b"")
    left = [s for s in reader.samples if s.source != broken]
    predict = told(left, [s.keypoints for s in left], np.ones((len(left), 3)))
    report = coco.evaluate(predict, reader, SIZE)
    assert report.persons == len(left) < len(reader) and report.scores["AP"] == 1
    assert broken.name in reader.skips.summary()
    for sample in reader.samples:
        sample.source.write_bytes(b"")
    with pytest.raises(PoseError, match="readable"):
        coco.evaluate(predict, reader, SIZE)


def test_a_limit_takes_whole_pictures(dataset, tmp_path):
    reader = CocoReader(dataset(pictures=40), [tmp_path / "images"])
    everything = coco.places(reader)
    for limit in (1, 5, 20, len(everything) - 1):
        pictures, chosen = coco.some(reader, everything, limit)
        assert 0 < len(chosen) <= max(limit, 3)
        assert chosen == [p for p in everything if p.picture in pictures]
    assert coco.some(reader, everything, 0) == (set(range(1, 41)), everything)
    pictures, _ = coco.some(reader, everything, 20)
    spread = np.histogram(sorted(pictures), 4, (1, 41))[0]
    assert spread.min() > 0


def test_points_without_an_answer_count_only_where_they_are_asked_for(dataset, tmp_path):
    reader = CocoReader(dataset(), [tmp_path / "images"])
    points = [s.keypoints.copy() for s in reader.samples]
    for said in points:
        said[2] = np.nan
    scores = np.tile([0.5, 0.5, 0.0], (len(points), 1))
    known = coco.evaluate(
        told(reader.samples, points, scores), reader, SIZE, only=reader.skeleton.keypoints[:2]
    )
    whole = coco.evaluate(told(reader.samples, points, scores), reader, SIZE)
    assert known.scores["AP"] == 1 > whole.scores["AP"]
    assert {r["score"] for r in known.results} == {0.5}
    assert {r["score"] for r in whole.results} == {round(1 / 3, 6)}
    assert "2 of the key points" in known.table()


def test_a_mirror_image_is_looked_at_too(dataset, tmp_path):
    reader = CocoReader(dataset(), [tmp_path / "images"])
    looks = []

    def predict(patches):
        looks.append(patches)
        return np.full((len(patches), 3, 2), 23.5), np.ones((len(patches), 3))

    coco.evaluate(predict, reader, SIZE, flip="mean")
    assert np.array_equal(looks[0][:, :, ::-1], looks[1])


def test_the_metric_is_that_of_the_data(dataset, tmp_path):
    reader = CocoReader(dataset(), [tmp_path / "images"])
    other = object.__new__(LspReader)
    assert coco.metric(reader) == "oks" and coco.metric(other) == "pck"
    assert coco.metric(reader, "pck") == "pck" and coco.metric(reader, None, "a.json") == "oks"
    for wrong in ((other, "oks"), (other, None, "a.json"), (reader, "pck", "a.json")):
        with pytest.raises(PoseError, match="COCO's annotations"):
            coco.metric(*wrong)


def test_the_script_scores_coco_by_oks(dataset, tmp_path, monkeypatch, capsys):
    path = dataset()
    reader = CocoReader(path, [tmp_path / "images"])
    tiny.TinyPose(reader.skeleton).save(tmp_path / "tiny.keras")
    boxes = detections(tmp_path / "boxes.json", reader)
    out, summary = tmp_path / "results.json", tmp_path / "report.json"
    given = [tmp_path / "tiny.keras", "--data", path, "--detections", boxes]

    def run(*more):
        monkeypatch.setattr(sys, "argv", ["evaluate.py", *map(str, [*given, *more])])
        runpy.run_path(str(ROOT / "train" / "evaluate.py"))["main"]()
        return capsys.readouterr().out

    shown = run("--results", out, "--json", summary)
    assert "APM" in shown and "boxes: boxes.json" in shown and "presence" not in shown
    truth = reader.truth()
    results = read_results(out, 3, {i["id"] for i in truth["images"]})
    found = average_precision(truth, results, reader.skeleton.sigmas)
    report = json.loads(summary.read_text())
    assert {n: report[n] for n in ("AP", "AR50")} == {
        n: round(100 * found[n], 4) for n in ("AP", "AR50")
    }
    del given[3:]
    assert "pck@0.2" in run("--metric", "pck")
