"""COCO's evaluation: the same numbers as pycocotools, and the pipeline that makes the results."""

import copy
import json
import runpy
import sys

import cv2
import numpy as np
import pytest
import tiny
from conftest import ROOT, shared

from keras_pose import geometry
from keras_pose.data.coco import CocoReader
from keras_pose.data.lsp import LspReader
from keras_pose.data.open import open_reader
from keras_pose.data.results_file import read_results
from keras_pose.errors import PoseError
from keras_pose.metrics.coco_ap import MISSING, NAMES, average_precision
from keras_pose.metrics.coco_format import entry, select
from keras_pose.skeletons import COCO17
from keras_pose.training import coco

sys.path.insert(0, str(ROOT / "benchmarks"))

import coco_speed

EVALUATORS = ("faster_coco_eval", "pycocotools")
SIZE = (64, 48)


def reference(truth, results, sigmas):
    """pycocotools from a file's content to its own summary."""
    return coco_speed.reference(copy.deepcopy(truth), copy.deepcopy(results), sigmas)


def disturbed(truth, count, seed=0):
    """Results with all that happens: perturbed, missing, double, invented, of equal scores, more
    than 20 in a picture, and some for crowds and persons without labels."""
    rng = np.random.default_rng(seed)
    results = []
    for annotation in truth["annotations"]:
        points = np.reshape(annotation["keypoints"], (count, 3)).astype(float)
        x, y, w, h = annotation["bbox"]
        if not points[:, 2].any():
            points[:, :2] = rng.uniform((x, y), (x + w, y + h), (count, 2))
        for _ in range(rng.choice([0, 1, 1, 2, 25], p=[0.15, 0.4, 0.2, 0.2, 0.05])):
            noise = rng.normal(0, 0.12 * np.sqrt(w * h) * rng.random() ** 2, (count, 2))
            said = points[:, :2] + noise
            score = rng.random() if rng.random() < 0.7 else 0.5
            results.append(entry(annotation["image_id"], 1, said, np.ones(count), score))
    for image in truth["images"][::3]:
        said = rng.uniform(0, 200, (count, 2))
        results.append(entry(image["id"], 1, said, np.ones(count), rng.random()))
    return results


def with_crowds(truth, seed=0):
    """The same with a tenth of the annotations made crowds and a tenth without labels."""
    rng, truth = np.random.default_rng(seed), copy.deepcopy(truth)
    for annotation in truth["annotations"]:
        kind = rng.random()
        if kind < 0.2:
            annotation["iscrowd"] = int(kind < 0.1)
            annotation["num_keypoints"] = 0
            annotation["keypoints"] = [0] * len(annotation["keypoints"])
    return truth


def close(found, expected):
    assert list(found) == list(NAMES)
    assert max(abs(found[name] - expected[name]) for name in NAMES) < 1e-9


@pytest.fixture(scope="module")
def val():
    path = shared("data/coco/annotations/person_keypoints_val2017.json")
    return json.loads(path.read_text())


@pytest.mark.parametrize("crowds", [False, True])
def test_real_annotations_score_as_with_pycocotools(val, crowds):
    truth = with_crowds(val) if crowds else val
    results = disturbed(truth, 17)
    before = copy.deepcopy((truth, results))
    expected = reference(truth, results, COCO17.sigmas)
    assert 0.2 < expected["AP"] < 0.9
    for evaluator in EVALUATORS:
        close(average_precision(truth, results, COCO17.sigmas, evaluator=evaluator), expected)
    assert (truth, results) == before


def test_the_reader_gives_the_same_ground_truth(val):
    reader = open_reader(shared("data/coco"), "val")
    results = disturbed(val, 17, seed=1)
    expected = reference(val, results, COCO17.sigmas)
    close(average_precision(reader.truth(), results, COCO17.sigmas), expected)


@pytest.mark.parametrize("evaluator", EVALUATORS)
def test_real_annotations_against_themselves_score_one(evaluator):
    reader = open_reader(shared("data/coco"), "val")
    results = [
        entry(s.picture, reader.category, s.keypoints, s.visible, 1.0) for s in reader.samples
    ]
    found = average_precision(reader.truth(), results, COCO17.sigmas, evaluator=evaluator)
    assert found == dict.fromkeys(NAMES, 1.0)


def generated(pictures=30, count=5, seed=0, smallest=20):
    """Annotations of a made-up skeleton."""
    rng = np.random.default_rng(seed)
    annotations = []
    for n in range(pictures):
        for _ in range(rng.integers(0, 4)):
            x, y, w, h = *rng.uniform(0, 300, 2), *rng.uniform(smallest, 200, 2)
            points = rng.uniform((x, y), (x + w, y + h), (count, 2)).round(1)
            seen = rng.integers(0, 3, count)
            seen[0] = 2
            triples = np.where(seen[:, None] > 0, np.column_stack([points, seen]), 0)
            labels = {
                "keypoints": triples.ravel().tolist(),
                "num_keypoints": int((seen > 0).sum()),
                "bbox": [x, y, w, h],
                "area": 0.6 * w * h,
            }
            about = {"id": len(annotations) + 1, "image_id": n + 1, "category_id": 1, "iscrowd": 0}
            annotations.append(about | labels)
    images = [{"id": n + 1} for n in range(pictures)]
    return {"images": images, "annotations": annotations, "categories": [{"id": 1}]}


SIGMAS = (0.05, 0.1, 0.025, 0.08, 0.06)


@pytest.mark.parametrize("evaluator", EVALUATORS)
def test_any_skeleton_scores_as_with_pycocotools(evaluator):
    truth = with_crowds(generated())
    for seed in range(3):
        results = disturbed(truth, 5, seed)
        close(
            average_precision(truth, results, SIGMAS, evaluator=evaluator),
            reference(truth, results, SIGMAS),
        )
    boxed = [{**r, "bbox": [0, 0, 50 * (n % 4), 50]} for n, r in enumerate(results)]
    close(
        average_precision(truth, boxed, SIGMAS, evaluator=evaluator),
        reference(truth, boxed, SIGMAS),
    )


@pytest.mark.parametrize("evaluator", EVALUATORS)
def test_no_results_score_nothing(evaluator):
    truth = generated()
    assert average_precision(truth, [], SIGMAS, evaluator=evaluator) == dict.fromkeys(NAMES, 0.0)
    small = {**truth, "annotations": [{**a, "area": 500.0} for a in truth["annotations"]]}
    found = average_precision(small, [], SIGMAS, evaluator=evaluator)
    sized = {"APM", "APL", "ARM", "ARL"}
    assert all(v == (MISSING if name in sized else 0) for name, v in found.items())


def test_ids_may_be_anything():
    """An annotation's id of 0 must not mean "not matched", nor need pictures have numbers."""
    truth = generated()
    results = disturbed(truth, 5)
    expected = average_precision(truth, results, SIGMAS)
    renamed = copy.deepcopy(truth)
    for n, annotation in enumerate(renamed["annotations"]):
        annotation["id"] = n
    pictures = [*renamed["images"], *renamed["annotations"], *(others := copy.deepcopy(results))]
    for one in pictures:
        key = "id" if one in renamed["images"] else "image_id"
        one[key] = f"picture {one[key]:03}"
    for evaluator in EVALUATORS:
        assert average_precision(renamed, others, SIGMAS, evaluator=evaluator) == expected


def test_only_some_key_points():
    truth = with_crowds(generated())
    results = disturbed(truth, 5)
    found = average_precision(truth, results, SIGMAS, only=(3, 1))
    some = {**truth, "annotations": select(truth["annotations"], (3, 1))}
    expected = reference(some, select(results, (3, 1)), (SIGMAS[3], SIGMAS[1]))
    close(found, expected)
    assert any(a["num_keypoints"] == 0 for a in some["annotations"])
    assert found != average_precision(truth, results, SIGMAS)


def test_what_cannot_be_scored_is_refused():
    truth = generated()
    results = disturbed(truth, 5)
    with pytest.raises(PoseError, match="picture 99"):
        average_precision(truth, [*results, {**results[0], "image_id": 99}], SIGMAS)
    with pytest.raises(PoseError, match="51 numbers"):
        average_precision(truth, results, COCO17.sigmas)
    chair = {**truth["annotations"][0], "category_id": 2}
    with pytest.raises(PoseError, match="one category"):
        average_precision({**truth, "annotations": [*truth["annotations"], chair]}, [], SIGMAS)
    for other in (2, "1"):
        strangers = [{**r, "category_id": other} for r in results]
        with pytest.raises(PoseError, match=f"all of category {other!r}"):
            average_precision(truth, strangers, SIGMAS)
        together = average_precision(truth, [*strangers, *results], SIGMAS)
        assert together == average_precision(truth, results, SIGMAS)
    with pytest.raises(PoseError, match=r"evaluator of .*'slow'"):
        average_precision(truth, results, SIGMAS, evaluator="slow")


@pytest.mark.parametrize("evaluator", EVALUATORS)
def test_numbers_of_numpy_are_numbers(evaluator):
    truth = generated()
    results = [{**r, "score": 0.5, "bbox": [1, 2, 40, 50]} for r in disturbed(truth, 5)]
    arrays = [{**r, "score": np.float32(0.5), "bbox": np.array(r["bbox"])} for r in results]
    found = average_precision(truth, arrays, SIGMAS, evaluator=evaluator)
    assert found == average_precision(truth, results, SIGMAS, evaluator=evaluator)


def test_the_reference_stands_in_for_an_evaluator_that_is_not_installed(monkeypatch):
    truth = generated()
    results = disturbed(truth, 5)
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
    close(average_precision(truth, results, SIGMAS), reference(truth, results, SIGMAS))
    monkeypatch.setitem(sys.modules, "pycocotools.coco", None)
    with pytest.raises(PoseError, match="pip install"):
        average_precision(truth, results, SIGMAS)


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
