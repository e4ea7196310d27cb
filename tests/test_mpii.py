"""MPII's two layouts, written here exactly as its authors and other code bases write them."""

import itertools
import json

import cv2
import numpy as np
import pytest
from scipy.io import savemat

from keras_pose.data import Loader, matlab, open_reader
from keras_pose.data.mpii import MpiiReader
from keras_pose.data.mpii_json import MpiiJsonReader
from keras_pose.errors import PoseError
from keras_pose.skeletons import MPII16

NOTHING = np.zeros((0, 0))  # Matlab's []
HEAD = {"x1": 30.0, "y1": 10.0, "x2": 33.0, "y2": 14.0}
NO_FIELD = (None,)
LENGTH = 0.6 * 5  # of that box


def structs(rows):
    """A 1 x N struct array: every element has every field, [] where it was not set."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    array = np.empty((1, len(rows)), [(name, object) for name in names])
    for place, row in enumerate(rows):
        for name in names:
            array[0, place][name] = row.get(name, NOTHING)
    return array


def cells(values):
    array = np.empty((len(values), 1), object)
    for place, value in enumerate(values):
        array[place, 0] = value
    return array


def joints(seed=0):
    return np.random.default_rng(seed).uniform(5, 45, (16, 2)).round(2)


def points(xy, ids=range(16), visible=(1.0,)):
    """annopoints.point, 1-based, in any order."""
    rows = [
        {"x": xy[k, 0] + 1, "y": xy[k, 1] + 1, "id": float(k), "is_visible": flag}
        for k, flag in zip(ids, itertools.cycle(visible), strict=False)
    ]
    if visible == NO_FIELD:
        rows = [{k: v for k, v in row.items() if k != "is_visible"} for row in rows]
    return {"point": structs(rows)}


def person(xy=None, **changes):
    row = {**HEAD, "scale": 0.2, "objpos": {"x": 26.0, "y": 21.0}}
    row["annopoints"] = points(joints() if xy is None else xy)
    return {k: v for k, v in {**row, **changes}.items() if v is not None}


@pytest.fixture
def mpii(tmp_path):
    """Writes the release of pictures (lists of persons, or [] or a struct); returns a function."""

    def make(pictures, train=None, apart=None, gone=(), **release):
        (tmp_path / "images").mkdir(exist_ok=True)
        rows = []
        for n, people in enumerate(pictures):
            name = f"{n:05d}.png"
            if n not in gone:
                cv2.imwrite(str(tmp_path / "images" / name), np.zeros((50, 60, 3), np.uint8))
            several = structs(people) if isinstance(people, list) and people else people
            rows.append({"image": {"name": name}, "annorect": NOTHING if people == [] else several})
        release = {
            "annolist": structs(rows),
            "img_train": np.array([train or [1.0] * len(pictures)]),
            "version": "12",
            "single_person": cells(apart or [NOTHING] * len(pictures)),
            **release,
        }
        release = {k: v for k, v in release.items() if v is not None}
        path = tmp_path / "mpii_human_pose_v1_u12_1.mat"
        savemat(path, {"RELEASE": release})
        return path

    return make


def test_coordinates_come_back_from_zero_and_in_order(mpii):
    truth = [joints(0), joints(1), joints(2)]
    shuffled = np.random.default_rng(0).permutation(16)
    path = mpii(
        [
            [person(truth[0]), person(annopoints=points(truth[1], shuffled))],
            [person(annopoints=points(truth[2], (9, 3, 0)))],
        ]
    )
    reader = open_reader(path.parent)
    assert reader.skeleton is MPII16 and reader.skips.count == 0
    assert [s.name for s in reader.samples] == ["00000.png#1", "00000.png#2", "00001.png#1"]
    for sample, xy in zip(reader.samples[:2], truth, strict=False):
        assert sample.visible.all() and np.allclose(sample.keypoints, xy, atol=1e-4)
    few = reader[2]
    assert np.flatnonzero(few.visible).tolist() == [0, 3, 9]
    assert np.allclose(few.keypoints[few.visible], truth[2][[0, 3, 9]], atol=1e-4)
    assert MPII16.keypoints[9] == "head_top" and MPII16.keypoints[0] == "right_ankle"
    assert len(reader[0].people) == 2 and len(few.people) == 1
    x, y = Loader(reader, (32, 32), 3).batch(0, 0)
    assert x["patch"].shape[0] == 3 and y["visible"].any()


def test_the_extent_is_that_of_scale_and_objpos_or_of_the_joints(mpii):
    xy = joints()
    reader = open_reader(mpii([[person(xy), person(xy, scale=None, objpos=None)]]))
    placed, measured = reader.samples
    assert np.allclose(placed.box, (25 - 20, 20 + 3 - 20, 40, 40))  # 200 pixels at scale 1
    low = xy.min(axis=0)
    assert np.allclose(measured.box, [*low, *(xy.max(axis=0) - low)], atol=1e-4)
    assert len(placed.people) == 1
    without = open_reader(mpii([[person(xy, scale=NOTHING)]]))
    assert np.allclose(without[0].box, measured.box)


@pytest.mark.parametrize("visible", [("",), (1.0,), ("1", "0"), ("", 0.0, "1"), NO_FIELD])
def test_is_visible_may_be_anything(mpii, visible):
    """An empty string, a number, a text or no field: all points in the list are annotated."""
    annopoints = points(joints(), visible=visible)
    reader = open_reader(mpii([[person(annopoints=annopoints)]]))
    assert reader[0].visible.all() and np.allclose(reader[0].keypoints, joints(), atol=1e-4)


def test_a_single_struct_reads_as_a_list_of_one(mpii):
    one = person()
    one["annopoints"] = {"point": {"x": 11.0, "y": 12.0, "id": 7.0, "is_visible": "1"}}
    reader = open_reader(mpii([one, [], [person()]]))
    assert [s.name for s in reader.samples] == ["00000.png#1", "00002.png#1"]
    assert np.flatnonzero(reader[0].visible).tolist() == [7]
    assert np.array_equal(reader[0].keypoints[7], (10, 11))


def test_head_lengths_are_of_the_head_box(mpii):
    flat = {"x2": HEAD["x1"], "y2": HEAD["y1"]}
    reader = open_reader(mpii([[person(), person(x1=None), person(**flat), person(x2="wide")]]))
    assert np.allclose(reader[0].head, LENGTH)
    assert np.isnan([s.head for s in reader.samples[1:]]).all()
    assert reader.skips.count == 3
    assert "annolist(1).annorect(2)" in reader.skips.summary()
    assert "without a head box" in reader.skips.summary()


def test_what_cannot_be_used_is_counted_by_place(mpii):
    pictures = [
        [person()],
        [{"scale": 0.2, "objpos": {"x": 20.0, "y": 20.0}}],  # a test picture has these alone
        [person(annopoints=NOTHING), person(annopoints={"point": NOTHING}), person(joints(3))],
        [person()],
        [person(annopoints={"point": structs([{"x": 3.0, "y": 3.0, "id": 16.0}])})],
    ]
    reader = open_reader(mpii(pictures, train=[1.0, 0.0, 1.0, 1.0, 1.0], gone=(3,)))
    assert [s.name for s in reader.samples] == ["00000.png#1", "00002.png#3"]
    text = reader.skips.summary()
    assert "test picture without public joints, skipped (as mpii_human_pose" in text
    assert "annolist(2)" in text
    assert "2 x person without key points" in text and "annolist(3).annorect(1)" in text
    assert "gone" in text and "annolist(4)" in text
    assert "id 0..15" in text and "annorect(1) point(1)" in text
    assert len(reader[1].people) == 3  # those without joints stand there too


def test_a_validation_list_divides_the_persons(mpii, tmp_path):
    path = mpii([[person()], [person(), person()], [person()], [person()]])
    assert len(open_reader(path)) == len(open_reader(path, "val")) == 5
    savemat(tmp_path / "detections.mat", {
        "RELEASE_img_index": np.array([[2.0, 4.0]]), "RELEASE_person_index": np.array([[2.0, 1.0]]),
    })  # fmt: skip
    train, val = open_reader(path), open_reader(path, "val")
    assert [s.name for s in train.samples] == ["00000.png#1", "00002.png#1"]
    assert [s.name for s in val.samples] == ["00001.png#2", "00003.png#1"]
    assert train.skips.count == 0 and "neither split" in val.skips.summary()
    assert len(MpiiReader(path, [tmp_path / "images"])) == 5
    savemat(tmp_path / "detections.mat", {
        "RELEASE_img_index": np.array([[2.0, 4.0]]), "RELEASE_person_index": np.array([[2.0]]),
    })  # fmt: skip
    with pytest.raises(PoseError, match=r"detections\.mat"):
        open_reader(path)


def test_only_persons_that_stand_apart(mpii, tmp_path):
    path = mpii([[person(), person(), person()], [person()], []],
                apart=[np.array([[1.0, 3.0]]), NOTHING, 1.0])  # fmt: skip
    reader = MpiiReader(path, [tmp_path / "images"], single=True)
    assert [s.name for s in reader.samples] == ["00000.png#1", "00000.png#3"]
    path = mpii([[person()]], single_person=None)
    with pytest.raises(PoseError, match="single_person"):
        MpiiReader(path, [tmp_path / "images"], single=True)


@pytest.mark.parametrize("changes", [{"img_train": np.ones((1, 5))}, {"img_train": None},
                                     {"annolist": NOTHING}])  # fmt: skip
def test_files_whose_parts_do_not_belong_together_are_refused(mpii, changes):
    with pytest.raises(PoseError, match="RELEASE") as error:
        open_reader(mpii([[person()]], **changes))
    assert "mpii_human_pose_v1_u12_1.mat" in error.value.received


def test_unknown_matlab_files_are_refused(tmp_path):
    path = tmp_path / "other.mat"
    savemat(path, {"anything": 1.0})
    with pytest.raises(PoseError, match="anything"):
        open_reader(path)
    savemat(path, {"RELEASE": 1.0})
    with pytest.raises(PoseError, match="annolist"):
        open_reader(path)
    path.write_bytes(b"no Matlab")
    with pytest.raises(PoseError, match=r"other\.mat"):
        open_reader(path)
    with pytest.raises(PoseError, match="not there"):
        open_reader(tmp_path / "gone.mat")


def test_numbers_and_texts_however_they_are_wrapped():
    wrapped = np.empty((1, 1), object)
    wrapped[0, 0] = np.array(["7"])
    for value, expected in ((np.ones((1, 1)), 1), ("3", 3), (wrapped, 7), (np.uint8(2), 2)):
        assert matlab.number(value) == expected
    for value in ("", "x", None, np.nan, NOTHING, np.ones((1, 2))):
        assert matlab.number(value) is None
    assert matlab.text(np.array(["a.jpg"])) == "a.jpg" and matlab.text(NOTHING) == ""


def entry(image="a.png", xy=None, **changes):
    xy = joints() if xy is None else xy
    row = {"image": image, "center": [26.0, 21.0], "scale": 0.2,
           "joints": (xy + 1).tolist(), "joints_vis": [1] * 16}  # fmt: skip
    return {k: v for k, v in {**row, **changes}.items() if v is not None}


@pytest.fixture
def listed(tmp_path):
    """Writes annot/valid.json, head boxes (N, 4) or None, and picture a.png."""

    def make(entries, heads=None, names=("annot/valid.json", "annot/gt_valid.mat")):
        (tmp_path / "images").mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / "images/a.png"), np.zeros((50, 60, 3), np.uint8))
        path, boxes = (tmp_path / name for name in names)
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(entries))
        if heads is not None:
            corners = np.array(heads, float).reshape(-1, 2, 2).transpose(1, 2, 0)
            savemat(boxes, {"headboxes_src": corners, "jnt_missing": np.zeros((16, len(heads)))})
        return path

    return make


BOX = list(HEAD.values())


@pytest.mark.parametrize(
    "names",
    [
        ("annot/valid.json", "annot/gt_valid.mat"),
        ("annotations/mpii_val.json", "annotations/mpii_gt_val.mat"),
    ],
)
def test_the_list_reads_as_the_release_does(listed, mpii, names, tmp_path):
    xy, other = joints(), joints(1)
    missing = {"joints": [[-1, -1], *(other[1:] + 1).tolist()], "joints_vis": [0] + [1] * 15}
    path = listed([entry(xy=xy), entry(**missing)], [BOX, BOX], names)
    ours = open_reader(path, "val")
    theirs = open_reader(mpii([[person(xy), person(annopoints=points(other, range(1, 16)))]]))
    assert len(ours) == len(theirs) == 2 and ours.skips.count == 0
    for a, b in zip(ours.samples, theirs.samples, strict=True):
        for field in ("keypoints", "visible", "box", "head", "people"):
            assert np.allclose(getattr(a, field), getattr(b, field), atol=1e-4), field
    (tmp_path / "mpii_human_pose_v1_u12_1.mat").unlink()
    assert [s.name for s in open_reader(tmp_path, "val").samples] == ["a.png#0", "a.png#1"]


def test_without_a_file_of_head_boxes_there_are_no_head_lengths(listed):
    reader = open_reader(listed([entry()]))
    assert np.isnan(reader[0].head) and reader.skips.count == 0
    reader = open_reader(listed([entry(), entry()], [[0, 0, 0, 0], BOX]))
    assert np.isnan(reader[0].head) and np.allclose(reader[1].head, LENGTH)
    assert "valid.json entry 0" in reader.skips.summary()


def test_entries_that_cannot_be_used_are_counted(listed):
    entries = [entry(), entry("gone.png"), entry(joints=None, joints_vis=None),
               entry(joints_vis=[0] * 16), entry(center=[-1, -1], scale=-1)]  # fmt: skip
    reader = open_reader(listed(entries))
    assert [s.name for s in reader.samples] == ["a.png#0", "a.png#4"]
    for reason in ("entry 1", "entry 2", "without a visible", "picture is gone"):
        assert reason in reader.skips.summary()
    low = joints().min(axis=0)
    assert np.allclose(reader[1].box[:2], low, atol=1e-4)


@pytest.mark.parametrize(
    "changes",
    [{"joints": [[1, 2]] * 15}, {"joints": [[1, 2, 1]] * 16}, {"joints": "none"},
     {"joints_vis": [1] * 15}, {"joints_vis": None}, {"image": None}],
)  # fmt: skip
def test_other_entries_are_refused_by_place(listed, changes):
    with pytest.raises(PoseError, match="entry 1") as error:
        open_reader(listed([entry(), entry(**changes)]))
    assert "valid.json" in error.value.received


def test_lists_and_head_boxes_that_do_not_fit_are_refused(listed):
    with pytest.raises(PoseError, match=r"gt_valid\.mat"):
        open_reader(listed([entry(), entry()], [BOX] * 3))
    with pytest.raises(PoseError, match="list of persons"):
        MpiiJsonReader(listed({"annotations": []}), ["."])
    with pytest.raises(PoseError, match="nothing is left"):
        open_reader(listed([], names=("annot/train.json", "")))
