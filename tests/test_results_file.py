"""COCO's results and detections as files: what is written is read, and what is wrong is named."""

import json

import numpy as np
import pytest

from keras_pose.data.results_file import read_detections, read_results, write_results
from keras_pose.data.skips import SkipLog
from keras_pose.errors import PoseError
from keras_pose.metrics import coco_format

PICTURES = {7, 8}


def result(**changes):
    entry = {"image_id": 7, "category_id": 1, "keypoints": [1, 2, 1, 3, 4, 1], "score": 0.5}
    return {k: v for k, v in {**entry, **changes}.items() if v is not ...}


def detection(**changes):
    entry = {"image_id": 7, "category_id": 1, "bbox": [10, 20, 30, 40], "score": 0.9}
    return {k: v for k, v in {**entry, **changes}.items() if v is not ...}


@pytest.fixture
def stored(tmp_path):
    def make(content):
        path = tmp_path / "answers.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return make


def test_what_is_written_is_read(tmp_path):
    rng = np.random.default_rng(0)
    points, scores = rng.uniform(-20, 500, (4, 2)), rng.random(4)
    points[2] = np.nan  # a point that the model has no answer for
    written = [coco_format.entry(7, 1, points, scores, 0.25)]
    write_results(tmp_path / "a.json", written)
    (read,) = read_results(tmp_path / "a.json", 4, PICTURES)
    assert [read] == written and (read["image_id"], read["score"]) == (7, 0.25)
    triples = np.reshape(read["keypoints"], (4, 3))
    known = [0, 1, 3]
    assert np.allclose(triples[known, :2], points[known], atol=5e-4)
    assert np.allclose(triples[known, 2], scores[known], atol=5e-4) and not triples[2].any()


def test_no_results_are_results(stored):
    assert read_results(stored([]), 2, PICTURES) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "empty"),
        ("{", "answers.json"),
        ({"annotations": []}, "a dict"),
        ([result(), 5], "entry 1: a int"),
        ([result(), result(image_id=...)], "entry 1 without image_id"),
        ([result(category_id=...)], "without category_id"),
        ([result(keypoints=...)], "entry 0 without keypoints"),
        ([result(score=...)], "without score"),
        ([result(score=None)], "without score"),
        ([result(score=float("nan"))], "entry 0 with nan"),
        ([result(score=float("inf"))], "entry 0 with inf"),
        ([result(score="high")], "'high'"),
        ([result(score=True)], "entry 0 with True"),
        ([result(image_id=True)], "picture True"),
        ([result(), result(category_id=[1])], r"entry 1 with \[1\]"),
        ([result(category_id=True)], "entry 0 with True"),
        ([result(bbox=5)], r"entry 0 \(picture 7\) with 5"),
        ([result(bbox=["1", "2", "3", "4"])], "four finite numbers"),
        ([result(bbox=[1, 2, 3])], "four finite numbers"),
        ([result(bbox=[1, 2, 3, float("nan")])], "four finite numbers"),
        ([result(keypoints=list("121341"))], "6 numbers"),
        ([result(category_id=2), result(category_id="1")], "all of category '1', 2"),
        ([result(), result(image_id=9)], "entry 1 for picture 9"),
        ([result(image_id=[7])], r"picture \[7\]"),
        ([result(keypoints=[1, 2, 1])], r"entry 0 \(picture 7\) with 3"),
        ([result(keypoints=[1] * 51)], "with 51"),
        ([result(keypoints=[[1, 2, 1], [3, 4, 1]])], "with 2"),
        ([result(keypoints="many")], "a str"),
        ([result(keypoints=[1, 2, 1, 3, float("nan"), 1])], "with nan"),
    ],
)
def test_wrong_results_are_refused_by_entry(stored, content, said):
    with pytest.raises(PoseError, match=said) as error:
        read_results(stored(content), 2, PICTURES, 1)
    assert "answers.json" in str(error.value)


def test_numbers_of_any_kind_and_results_of_more_categories_are_read(stored):
    mixed = [result(), result(category_id=2), result(bbox=[]), result(bbox=[1, 2, 3, 4])]
    assert read_results(stored(mixed), 2, PICTURES, 1) == mixed
    kinds = {"image_id": np.int64(7), "score": np.float32(0.5), "bbox": np.ones(4)}
    assert coco_format.check([result(**kinds)], 2, pictures=PICTURES, category=1)
    assert coco_format.check([result(category_id=2)], 2)


def test_a_file_that_is_missing_or_cannot_be_written_is_named(tmp_path):
    with pytest.raises(PoseError, match=r"gone\.json"):
        read_results(tmp_path / "gone.json", 2)
    with pytest.raises(PoseError, match="nowhere"):
        write_results(tmp_path / "nowhere" / "a.json", [])


def test_boxes_move_into_this_projects_convention(stored):
    skips = SkipLog()
    (found,) = read_detections(stored([detection()]), 1, PICTURES, skips)
    assert found.box.tolist() == [9.5, 19.5, 30, 40] and (found.picture, found.score) == (7, 0.9)
    assert skips.count == 0


def test_other_categories_do_not_count(stored):
    chair = detection(category_id=62)
    found = read_detections(
        stored([chair, detection(), detection(category_id=...)]), 1, PICTURES, SkipLog()
    )
    assert len(found) == 2
    assert read_detections(stored([]), 1, PICTURES, SkipLog()) == []


def test_detections_that_cannot_be_used_are_counted(stored):
    skips = SkipLog()
    wrong = [
        detection(image_id=9),
        detection(bbox=[1, 2, 0, 4]),
        detection(bbox=[1, 2, 3]),
        detection(bbox=[1, 2, float("nan"), 4]),
        detection(score=float("nan")),
        detection(score=None),
    ]
    path = stored([detection(), *wrong])
    assert len(read_detections(path, 1, PICTURES, skips)) == 1
    assert skips.count == len(wrong)
    for reason in ("does not have", "positive width", "no finite number"):
        assert reason in skips.summary()
    with pytest.raises(PoseError, match="none of use") as error:
        read_detections(stored(wrong), 1, PICTURES, SkipLog())
    assert "6 entries, 6 of category 1" in error.value.received
    with pytest.raises(PoseError, match="0 of category 3"):
        read_detections(path, 3, PICTURES, SkipLog())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "empty"),
        ({}, "a dict"),
        ([detection(), detection(score=...)], "entry 1, without score"),
        ([detection(bbox=...)], "without bbox"),
        ([detection(image_id=...)], "without image_id"),
        ([3], "without image_id, bbox, score"),
    ],
)
def test_files_that_are_no_detections_are_refused(stored, content, said):
    with pytest.raises(PoseError, match=said) as error:
        read_detections(stored(content), 1, PICTURES, SkipLog())
    assert "answers.json" in str(error.value)
