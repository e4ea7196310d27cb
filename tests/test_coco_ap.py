"""COCO's ten numbers: the same as pycocotools', and what is refused."""

import copy
import json
import sys

import numpy as np
import pytest
from coco_data import generated
from conftest import ROOT, shared

from keras_pose.data.open import open_reader
from keras_pose.errors import PoseError
from keras_pose.metrics.coco_ap import MISSING, NAMES, average_precision
from keras_pose.metrics.coco_format import entry, select
from keras_pose.skeletons import COCO17

sys.path.insert(0, str(ROOT / "benchmarks"))

import coco_speed

EVALUATORS = ("faster_coco_eval", "pycocotools")


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
