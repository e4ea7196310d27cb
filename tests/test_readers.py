import json
import os

import cv2
import numpy as np
import pytest
from conftest import shared
from dots import DotsReader, write
from scipy.io import savemat

from keras_pose.data import Augment, Loader, open_reader
from keras_pose.data.coco import CocoReader
from keras_pose.data.lsp import LspReader
from keras_pose.errors import PoseError
from keras_pose.skeletons import COCO17, LSP14

NAMES = ["hub", "left_tip", "right_tip"]


@pytest.fixture
def lsp(tmp_path):
    """Writes an LSP folder of `joints` (N, 14, 3), 0-based; returns a function."""

    def make(joints, layout=(14, 3), pictures=None):
        joints = np.array(joints, float) + (1, 1, 0)
        (tmp_path / "images").mkdir(exist_ok=True)
        for n in range(len(joints)) if pictures is None else pictures:
            cv2.imwrite(
                str(tmp_path / f"images/im{n + 1:05d}.png"), np.zeros((50, 60, 3), np.uint8)
            )
        array = joints.transpose(1, 2, 0) if layout == (14, 3) else joints.transpose(2, 1, 0)
        savemat(tmp_path / "joints.mat", {"joints": array})
        return tmp_path

    return make


def people(count, visible=1.0):
    rng = np.random.default_rng(count)
    joints = rng.uniform(0, 50, (count, 14, 3))
    joints[..., 2] = rng.random((count, 14)) < visible
    return joints


def test_both_lsp_layouts_are_zero_based_and_the_same(lsp):
    joints = people(5, 0.8)
    for layout in ((14, 3), (3, 14)):
        reader = LspReader(lsp(joints, layout))
        assert reader.skeleton is LSP14 and len(reader) == 5 and reader.skips.count == 0
        for sample, truth in zip(reader.samples, joints, strict=True):
            visible = truth[:, 2] == 1
            assert np.array_equal(sample.visible, visible)
            assert np.allclose(sample.keypoints[visible], truth[visible, :2], atol=1e-4)
            low, high = truth[visible, :2].min(0), truth[visible, :2].max(0)
            assert np.allclose(sample.box, [*low, *(high - low)], atol=1e-4)
        assert reader[2].name == "im00003.png#0"
        assert reader.image(reader[2]).shape == (50, 60, 3)


def test_the_original_lsp_marks_hidden_joints(lsp):
    joints = people(5, 0.8)
    hidden = joints.copy()
    hidden[..., 2] = 1 - joints[..., 2]
    reader = LspReader(lsp(hidden, (3, 14)))
    assert np.array_equal([s.visible for s in reader.samples], joints[..., 2] == 1)
    told = LspReader(lsp(hidden, (3, 14)), flag="visible")
    assert np.array_equal([s.visible for s in told.samples], joints[..., 2] == 0)


def test_the_original_lsp_is_divided_as_its_authors_do(lsp, tmp_path):
    folder = lsp(people(2000), (3, 14), pictures=())
    for n in range(2000):
        (tmp_path / f"images/im{n + 1:04d}.jpg").touch()
    assert len(LspReader(folder)) == 2000
    for split, first in (("train", "im0001.jpg#0"), ("val", "im1001.jpg#0")):
        reader = open_reader(folder, split)
        assert len(reader) == 1000 and reader[0].name == first


def test_hidden_joints_of_the_original_lsp_may_count(lsp):
    """Published scores of LSP count them: where they are was guessed, not left open."""
    joints = people(5, 0.8)
    hidden = joints.copy()
    hidden[..., 2] = 1 - joints[..., 2]
    reader = LspReader(lsp(hidden, (3, 14)), hidden=True)
    assert np.array([s.visible for s in reader.samples]).all()
    assert np.allclose([s.keypoints for s in reader.samples], joints[..., :2], atol=1e-4)
    extended = LspReader(lsp(joints, (14, 3)), hidden=True)
    assert np.array_equal([s.visible for s in extended.samples], joints[..., 2] == 1)


def test_the_viewpoint_picks_the_file(lsp):
    """Person- and observer-centric are two files; they differ in who is seen from behind."""
    person = people(4)
    behind = np.array([True, False, True, False])
    observer = person.copy()
    observer[behind] = person[behind][:, list(LSP14.mirror)]
    folder = lsp(observer, (3, 14))
    os.replace(folder / "joints.mat", folder / "joints-OC.mat")
    lsp(person, (3, 14))
    ours, theirs = LspReader(folder), LspReader(folder, viewpoint="observer")
    for turned, a, b in zip(behind, ours.samples, theirs.samples, strict=True):
        names = LSP14.mirror if turned else range(14)
        assert np.array_equal(a.keypoints[list(names)], b.keypoints)
        assert np.array_equal(a.box, b.box) and a.source == b.source
    one = open_reader(folder / "joints-OC.mat")
    assert all(
        np.array_equal(a.keypoints, b.keypoints)
        for a, b in zip(one.samples, theirs.samples, strict=True)
    )
    os.replace(folder / "joints.mat", folder / "joints-PC.mat")
    again = LspReader(folder, viewpoint="person")
    assert np.array_equal(again[0].keypoints, ours[0].keypoints)
    os.remove(folder / "joints-OC.mat")
    with pytest.raises(PoseError, match=r"joints-OC\.mat"):
        LspReader(folder, viewpoint="observer")
    with pytest.raises(PoseError, match="viewpoint"):
        LspReader(folder, viewpoint="camera")


def test_annotations_without_a_row_of_visibility(lsp, tmp_path):
    joints = people(3)
    folder = lsp(joints)
    savemat(tmp_path / "joints.mat", {"joints": joints[..., :2].transpose(2, 1, 0) + 1})
    reader = LspReader(folder)
    assert np.array([s.visible for s in reader.samples]).all()
    assert np.allclose([s.keypoints for s in reader.samples], joints[..., :2], atol=1e-4)


@pytest.mark.parametrize("shape", [(14, 2, 5), (16, 3, 5), (14, 3)])
def test_a_joints_file_of_another_shape_is_refused(tmp_path, shape):
    savemat(tmp_path / "joints.mat", {"joints": np.zeros(shape)})
    with pytest.raises(PoseError, match=r"joints\.mat with shape") as error:
        LspReader(tmp_path)
    assert str(shape) in error.value.received


def test_unreadable_joints_files_are_refused(tmp_path):
    with pytest.raises(PoseError, match="not there"):
        LspReader(tmp_path)
    for content in (b"", b"not matlab at all" * 20):
        (tmp_path / "joints.mat").write_bytes(content)
        with pytest.raises(PoseError, match=r"joints\.mat"):
            LspReader(tmp_path)
    savemat(tmp_path / "joints.mat", {"points": np.zeros((14, 3, 2))})
    with pytest.raises(PoseError, match="points"):
        LspReader(tmp_path)


def test_impossible_coordinates_are_masked_and_counted(lsp):
    joints = people(3)
    joints[0, 3, 0] = np.nan
    joints[1, 4, 1] = -7
    joints[1, 5, 0] = np.inf
    joints[2, 6] = (-30, np.nan, 0)  # not labelled: means nothing, counts for nothing
    reader = LspReader(lsp(joints))
    assert not reader[0].visible[3] and not reader[1].visible[[4, 5]].any()
    assert sum(s.visible.sum() for s in reader.samples) == 3 * 14 - 4
    assert all(np.isfinite(s.keypoints).all() and np.isfinite(s.box).all() for s in reader.samples)
    assert reader.skips.count == 3
    assert reader.skips.summary().startswith("3 x") and "left_hip" in reader.skips.summary()


def test_people_without_picture_or_joints_are_counted(lsp):
    joints = people(4)
    joints[1, :, 2] = 0
    reader = LspReader(lsp(joints, pictures=(0, 1, 2)))
    assert [s.name for s in reader.samples] == ["im00001.png#0", "im00003.png#0"]
    assert reader.skips.count == 2
    assert "person 4" in reader.skips.summary() and "im00002.png" in reader.skips.summary()


def test_nothing_left_is_refused(lsp):
    joints = people(2)
    joints[..., 2] = 0
    with pytest.raises(PoseError, match="2 x person without a visible key point"):
        LspReader(lsp(joints))


@pytest.mark.parametrize("kind", ["one pixel", "grey", "rgba", "16 bit"])
def test_unusual_pictures_give_batches(lsp, tmp_path, kind):
    picture = {
        "one pixel": np.full((1, 1, 3), 200, np.uint8),
        "grey": np.full((50, 60), 200, np.uint8),
        "rgba": np.full((50, 60, 4), 200, np.uint8),
        "16 bit": np.full((50, 60, 3), 200 * 257, np.uint16),
    }[kind]
    reader = LspReader(lsp(people(2)))
    cv2.imwrite(str(tmp_path / "images/im00001.png"), picture)
    x, y = Loader(reader, (32, 32), 2, Augment(), shuffle=False).batch(0, 0)
    assert x["patch"].shape[3] == 3 and reader.skips.count == 0
    assert y["visible"].sum() > 0
    if kind != "one pixel":
        assert (np.abs(x["patch"][0].astype(int) - 200).max(axis=-1) <= 2).mean() > 0.1


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff no jpeg", None])
def test_an_unreadable_picture_does_not_stop_a_run(lsp, tmp_path, content):
    reader = LspReader(lsp(people(3)))
    broken = tmp_path / "images/im00002.png"
    broken.unlink() if content is None else broken.write_bytes(content)
    x, _ = Loader(reader, (32, 32), 3).batch(0, 0)
    assert x["patch"].shape[0] == 3 and reader.skips.count == 1
    assert "im00002.png" in reader.skips.summary()


def category(**changes):
    return {"id": 7, "name": "star", "keypoints": NAMES, "skeleton": [[1, 2], [1, 3]], **changes}


def person(i, points=None, **changes):
    points = [10, 10, 2, 20, 30, 2, 30, 20, 1] if points is None else points
    return {
        "id": i,
        "image_id": 1,
        "category_id": 7,
        "keypoints": points,
        "bbox": [5, 5, 40, 30],
        **changes,
    }


@pytest.fixture
def coco(tmp_path):
    """Writes a COCO folder with pictures 1 (there) and 2 (gone); returns a function."""

    def make(annotations, categories=None, **changes):
        (tmp_path / "images").mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / "images/a.png"), np.zeros((50, 60, 3), np.uint8))
        content = {
            "images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "gone.png"}],
            "annotations": annotations,
            "categories": categories or [{"id": 3, "name": "chair"}, category()],
            **changes,
        }
        path = tmp_path / "train.json"
        path.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))
        return path

    return make


def test_a_coco_category_makes_the_skeleton(coco):
    reader = open_reader(coco([person(4), {**person(5), "category_id": 3}]))
    assert reader.skeleton.keypoints == tuple(NAMES) and reader.skeleton.mirror == (0, 2, 1)
    assert reader.skeleton.edges == ((0, 1), (0, 2))
    assert [s.name for s in reader.samples] == ["a.png#4"] and reader.skips.count == 0
    sample = reader[0]
    assert sample.visible.all() and np.array_equal(sample.keypoints[1], (20, 30))
    assert np.array_equal(sample.box, (4.5, 4.5, 40, 30)) and sample.people.shape == (1, 4)
    assert reader.image(sample).shape == (50, 60, 3)


def test_coco_people_that_cannot_be_used_are_counted(coco):
    reader = open_reader(
        coco(
            [
                person(1),
                person(2, iscrowd=1),
                person(3, [0] * 9, num_keypoints=0),
                person(4, image_id=2),
                person(5, [0, 0, 0] * 3),
                {**person(6), "keypoints": []},
            ]
        )
    )
    assert [s.name for s in reader.samples] == ["a.png#1"]
    assert reader.skips.count == 5
    for reason in ("crowd", "without key points", "picture is gone", "without a visible"):
        assert reason in reader.skips.summary()
    assert len(reader[0].people) == 5  # everybody in the picture, for background crops


def test_coco_points_are_masked(coco):
    points = [10, 10, 0, float("nan"), 30, 2, 30, 20, 1]
    reader = open_reader(coco([person(1, points), person(2, [-4, 1, 2, None, 3, 2, 9, 9, 2])]))
    assert np.array_equal(reader[0].visible, (False, False, True))
    assert np.array_equal(reader[1].visible, (False, False, True))
    assert reader.skips.count == 3


def test_without_a_bounding_box_the_joints_make_one(coco):
    for bbox in (None, [0, 0, 0, 0], "wide"):
        reader = open_reader(coco([person(1, bbox=bbox)]))
        assert np.array_equal(reader[0].box, (10, 10, 20, 20))


@pytest.mark.parametrize("points", [[1, 2, 2], [1] * 10, [[1, 2, 2]] * 3, ["x"] * 9, 5])
def test_key_points_of_another_length_are_refused(coco, points):
    with pytest.raises(PoseError, match="annotation 12") as error:
        open_reader(coco([person(1), person(12, points)]))
    assert "train.json" in error.value.received


@pytest.mark.parametrize(
    ("key", "changes"),
    [
        ("images", {"images": None}),
        ("annotations", {"annotations": None}),
        ("categories", {"categories": None}),
        ("file_name", {"images": [{"id": 1}]}),
        ("id", {"images": [{"file_name": "a.png"}]}),
        ("image_id", {"annotations": [{"id": 4, "category_id": 7, "keypoints": [1] * 9}]}),
        ("category_id", {"annotations": [{"id": 4, "image_id": 1, "keypoints": [1] * 9}]}),
        ("keypoints", {"categories": [{"id": 1, "name": "person"}]}),
    ],
)
def test_a_missing_key_is_named_with_its_file(coco, key, changes):
    path = coco([person(1)])
    content = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))
    with pytest.raises(PoseError, match=f"'{key}'") as error:
        open_reader(path)
    assert str(path) in str(error.value)


def test_broken_json_is_refused(tmp_path):
    path = tmp_path / "a.json"
    for content in ("{", "[]", '"text"'):
        path.write_text(content)
        with pytest.raises(PoseError, match=r"a\.json"):
            CocoReader(path, tmp_path)
    with pytest.raises(PoseError, match=r"gone\.json"):
        CocoReader(tmp_path / "gone.json", tmp_path)


@pytest.mark.parametrize(
    ("annotations", "images"),
    [
        ("annotations/person_keypoints_val2017.json", "val2017"),
        ("annotations/val.json", "val"),
        ("annotations/val.json", "images/val"),
        ("val.json", "images"),
        ("val.json", "."),
    ],
)
def test_coco_folders_are_found(coco, tmp_path, annotations, images):
    path = coco([person(1)])
    (tmp_path / "other" / images).mkdir(parents=True)
    (tmp_path / "other" / annotations).parent.mkdir(exist_ok=True)
    os.replace(path, tmp_path / "other" / annotations)
    os.replace(tmp_path / "images/a.png", tmp_path / "other" / images / "a.png")
    reader = open_reader(tmp_path / "other", "val")
    assert reader.image(reader[0]).shape == (50, 60, 3)
    with pytest.raises(PoseError, match=r"train/joints\.mat"):
        open_reader(tmp_path / "other", "train")


def test_lsp_folders_with_and_without_splits(tmp_path):
    write(DotsReader(3), tmp_path / "a/train")
    write(DotsReader(2), tmp_path / "a/val", layout=(3, 14))
    assert (len(open_reader(tmp_path / "a")), len(open_reader(tmp_path / "a", "val"))) == (3, 2)
    assert len(open_reader(tmp_path / "a/val", "train")) == 2


def test_what_cannot_be_opened_is_refused(tmp_path):
    with pytest.raises(PoseError, match="no such folder"):
        open_reader(tmp_path / "gone")
    with pytest.raises(PoseError, match="split"):
        open_reader("figures", "test")
    for where in ("figures:", "figures:0", "figures:many"):
        with pytest.raises(PoseError, match="figures:N"):
            open_reader(where)


def test_figures_are_rendered_and_their_splits_differ():
    train, val = open_reader("figures:3"), open_reader("figures:3", "val")
    assert len(train) == len(val) == 3
    assert not np.array_equal(train[0].keypoints, val[0].keypoints)
    x, y = Loader(train, (64, 64), 3).batch(0, 0)
    assert y["visible"].any(axis=1).all() and x["patch"].std() > 10


def test_lspet_at_hand():
    folder = shared("data/lspet")
    train, val = open_reader(folder), open_reader(folder, "val")
    assert (len(train), len(val)) == (8989, 500)
    assert train.skips.count == 17 and val.skips.count == 0  # 17 joints just outside the picture
    boxes = np.array([s.box for s in train.samples])
    assert (boxes[:, 2:] > 0).any(axis=1).all() and boxes.min() >= -0.5
    x, y = Loader(val, (64, 64), 50).batch(0, 3)
    # the crop holds every annotated joint, with the margin around them
    assert np.array_equal(y["visible"], [s.visible for s in val.samples[150:200]])
    shown = y["keypoints"][y["visible"] > 0]
    assert shown.min() > 0.09 and shown.max() < 0.91 and x["patch"].std() > 30


def test_coco_at_hand():
    folder = shared("data/coco")
    train, val = open_reader(folder), open_reader(folder, "val")
    assert (len(train), len(val)) == (527, 193)
    for field in ("keypoints", "sigmas", "mirror", "lower"):
        assert getattr(train.skeleton, field) == getattr(COCO17, field)
    assert sorted(map(sorted, train.skeleton.edges)) == sorted(map(sorted, COCO17.edges))
    assert train.skips.count == val.skips.count == 0
    x, _ = Loader(train, (64, 48), 16, Augment(background=0.3)).batch(0, 0)
    assert x["patch"].std() > 30
