"""Input poses of batches: drawn in the frame of the network's input, after the augmentation."""

import dataclasses

import numpy as np
import pytest
from dots import DotsReader

from keras_pose import geometry
from keras_pose.data import Augment, Loader, packing, pose_scene, pydataset
from keras_pose.data.augment import draw
from keras_pose.data.pose_error_inputs import box_area, generators, near
from keras_pose.errors import PoseError
from keras_pose.metrics.diagnosis import CLASSES, GOOD, INVERSION, SWAP

STRONG = Augment(scale=(0.7, 1.3), rotate=45.0, shift=0.2, flip=0.5, zoom_out=0.3)
SIZE = (96, 64)


def only(monkeypatch, kind):
    """Errors of one kind alone."""
    table = np.eye(len(CLASSES))[kind]
    monkeypatch.setattr(
        pose_scene, "chances",
        lambda skeleton, seen, near: np.tile(table, (len(seen), skeleton.count, 1)),
    )  # fmt: skip


def with_others(reader, by=(30.0, 0.0)):
    for n, sample in enumerate(reader.samples):
        beside = np.column_stack([sample.keypoints + by, np.ones(14)]).astype(np.float32)
        reader.samples[n] = dataclasses.replace(sample, others=beside[None])
    return reader


def test_poses_come_only_where_they_are_asked_for():
    plain, drawn = (Loader(DotsReader(4), SIZE, 4, STRONG, poses=p) for p in (False, True))
    (x, y), (with_pose, same) = plain.batch(0, 0), drawn.batch(0, 0)
    assert "pose" not in x and with_pose["pose"].dtype == np.float32
    assert with_pose["pose"].shape == (4, 14, 3)
    assert all(np.array_equal(x[k], with_pose[k]) for k in x)
    assert all(np.array_equal(y[k], same[k]) for k in y) and y.keys() == same.keys()


@pytest.mark.parametrize("augment", [None, STRONG])
def test_without_distance_good_points_are_the_truth(monkeypatch, augment):
    only(monkeypatch, GOOD)
    monkeypatch.setattr(pose_scene, "box_area", lambda sample: 1e-9)
    x, y = Loader(DotsReader(8), SIZE, 8, augment, poses=True).batch(0, 0)
    assert np.array_equal(x["pose"][..., 2], y["visible"])
    assert np.allclose(x["pose"][..., :2], y["keypoints"], atol=1e-5)


def test_a_mirror_image_has_its_sides_swapped_already(monkeypatch):
    only(monkeypatch, INVERSION)
    monkeypatch.setattr(pose_scene, "box_area", lambda sample: 1e-9)
    flips = Augment(scale=(1.0, 1.0), rotate=0.0, shift=0.0, flip=1.0, color=0.0)
    loader = Loader(DotsReader(6), SIZE, 6, flips, poses=True)
    x, y = loader.batch(0, 0)
    mirror = np.array(loader.reader.skeleton.mirror)
    paired = (mirror != np.arange(14)) & (y["visible"] * y["visible"][:, mirror] > 0)
    assert paired.sum() > 40
    assert np.allclose(x["pose"][paired, :2], y["keypoints"][:, mirror][paired], atol=1e-5)
    assert x["pose"][paired, 2].all()


def test_distances_grow_with_the_person_in_the_input(monkeypatch):
    """Jitter is a share of the person, whatever the zoom."""
    only(monkeypatch, 1)
    apart = {}
    for zoom in (0.5, 1.0):
        augment = Augment(scale=(zoom, zoom), rotate=0.0, shift=0.0, flip=0.0, color=0.0)
        x, y = Loader(DotsReader(16), (128, 128), 16, augment, shuffle=False, poses=True).batch(
            0, 0
        )
        there = y["visible"] * x["pose"][..., 2] > 0
        gaps = np.linalg.norm(x["pose"][..., :2] - y["keypoints"], axis=-1)
        apart[zoom] = np.where(there, gaps, np.nan)
    ratio = apart[0.5] / apart[1.0]
    assert np.isfinite(ratio).sum() > 130
    assert abs(np.nanmedian(ratio) - 0.5) < 1e-3


def test_somebody_else_is_swapped_with_whoever_the_batch_tells_of(monkeypatch):
    only(monkeypatch, SWAP)
    monkeypatch.setattr(pose_scene, "box_area", lambda sample: 1e-9)
    alone = Loader(DotsReader(6), SIZE, 6, poses=True).batch(0, 0)[0]
    assert not alone["pose"].any()  # nobody to swap with, and nothing else is likely
    reader = with_others(DotsReader(6))
    for others in (0, 1):
        x, y = Loader(reader, SIZE, 6, None, others=others, poses=True).batch(0, 0)
        swapped = x["pose"][..., 2] > 0
        assert swapped.sum() > 30
        crop = geometry.crop_box(reader.samples[0].box, SIZE, 1.25)
        moved = x["pose"][0, swapped[0], 0] - y["keypoints"][0, swapped[0], 0]
        mirror = np.array(reader.skeleton.mirror)
        same = np.abs(moved - 30.0 / crop[2]) < 1e-4
        partner = y["keypoints"][0, mirror][swapped[0], 0] - y["keypoints"][0, swapped[0], 0]
        assert (same | (np.abs(moved - 30.0 / crop[2] - partner) < 1e-4)).all()


def test_points_beyond_the_border_are_not_drawn_though_they_are_within_reach():
    augment = Augment(scale=(1.6, 1.6), rotate=30.0, shift=0.2, flip=0.5, color=0.0)
    loaders = [Loader(DotsReader(8), SIZE, 8, augment, reach=r, poses=True) for r in (0, 0.3)]
    (near, seen), (far, reached) = (loader.batch(0, 0) for loader in loaders)
    assert reached["visible"].sum() > seen["visible"].sum()
    assert np.array_equal(near["pose"], far["pose"])


def test_a_crop_without_anyone_has_no_pose():
    augment = Augment(background=0.5)
    reader = DotsReader(12, size=(400, 1200), region=(300, 340))
    loader = Loader(reader, (64, 64), 12, augment, poses=True)
    x, y = loader.batch(0, 0)
    empty = y["person"] == 0
    assert 0 < empty.sum() < 12 and not x["pose"][empty].any()
    assert x["pose"][~empty, :, 2].any(axis=1).all()


def test_poses_depend_on_seed_epoch_and_sample_alone():
    reader = with_others(DotsReader(8))
    whole = Loader(reader, SIZE, 8, STRONG, seed=3, poses=True)
    x, _ = whole.batch(2, 0)
    halves = Loader(reader, SIZE, 2, STRONG, seed=3, poses=True)
    parts = [halves.batch(2, step)[0]["pose"] for step in range(4)]
    assert np.array_equal(np.concatenate(parts), x["pose"])
    assert not np.array_equal(whole.batch(3, 0)[0]["pose"], x["pose"])
    assert draw(STRONG, 3, 2, 0) != draw(STRONG, 3, 3, 0)


def test_some_poses_are_the_truth():
    """As many as asked for, and whole."""
    reader = with_others(DotsReader(150))
    x, y = Loader(reader, SIZE, 150, seed=3, poses=True, intact=0.3).batch(0, 0)
    seen = y["visible"].astype(bool)
    apart = np.abs(x["pose"][..., :2] - y["keypoints"]).max(axis=-1)
    exact = (np.where(seen, apart, 0) < 1e-5).all(axis=1)
    assert 0.18 < exact.mean() < 0.42
    assert np.array_equal(x["pose"][exact, :, 2] > 0, seen[exact])
    every = Loader(reader, SIZE, 150, seed=3, poses=True, intact=1.0).batch(0, 0)[0]["pose"]
    np.testing.assert_allclose(every[seen][:, :2], y["keypoints"][seen], atol=1e-5)
    none = Loader(reader, SIZE, 150, seed=3, poses=True).batch(0, 0)[0]["pose"]
    assert not (np.abs(none - every).max(axis=-1) < 1e-5).all(axis=1).any()


@pytest.mark.parametrize("augment", [None, STRONG])
def test_a_stand_in_is_moved_with_the_picture_and_counts_where_the_truth_does_not(augment):
    """Of persons of whom only the left ankle is annotated, with the truth itself as the guess."""
    reader, plain = DotsReader(6), DotsReader(6)
    guess = np.stack([np.column_stack([s.keypoints, np.ones(14)]) for s in plain.samples])
    guess[:, 2, 2] = 0  # nothing was found there
    missing, ankle = np.arange(14) == 2, np.arange(14) == reader.skeleton.index("left_ankle")
    for n, sample in enumerate(plain.samples):
        reader.samples[n] = dataclasses.replace(sample, visible=ankle)
        plain.samples[n] = dataclasses.replace(sample, visible=~missing)
    x, y = Loader(reader, SIZE, 6, augment, seed=3, poses=True, intact=1.0, stand_in=guess).batch(
        1, 0
    )
    whole, all_of = Loader(plain, SIZE, 6, augment, seed=3, poses=True, intact=1.0).batch(1, 0)
    np.testing.assert_allclose(x["pose"], whole["pose"], atol=1e-6)
    assert (all_of["visible"].sum(axis=1) > 8).all()
    assert (y["visible"].sum(axis=1) <= 1).all()  # a guess is no truth
    with pytest.raises(PoseError, match=r"stand_in of shape \(6, 14, 3\)"):
        Loader(reader, SIZE, 6, stand_in=guess[:5])


def test_who_is_shown_instead_of_an_unreadable_picture_brings_an_own_guess():
    reader = DotsReader(4, broken=[2])
    guess = np.stack([np.column_stack([s.keypoints, np.ones(14)]) for s in reader.samples])
    for n, sample in enumerate(reader.samples):
        reader.samples[n] = dataclasses.replace(sample, visible=np.arange(14) == n)
    pose = Loader(reader, SIZE, 4, poses=True, intact=1.0, stand_in=guess).batch(0, 0)[0]["pose"]
    assert np.array_equal(pose[2], pose[3]) and not np.array_equal(pose[1], pose[3])


def test_a_kind_that_is_left_out_is_good(monkeypatch):
    reader, errors = DotsReader(6), (("inversion", 0.0),)
    only(monkeypatch, INVERSION)
    inverted, left_out = (
        Loader(reader, SIZE, 6, seed=3, poses=True, errors=e).batch(0, 0)[0]["pose"]
        for e in ((), errors)
    )
    only(monkeypatch, GOOD)
    good = Loader(reader, SIZE, 6, seed=3, poses=True).batch(0, 0)[0]["pose"]
    assert np.array_equal(left_out, good) and not np.array_equal(inverted, good)


@pytest.mark.parametrize("augment", [None, STRONG])
def test_both_feeds_hand_poses_over(augment):
    tfdata = pytest.importorskip("keras_pose.data.tfdata", reason="TensorFlow is not installed")
    loader = Loader(DotsReader(5), SIZE, 2, augment, poses=True)
    data = tfdata.epoch(loader, 1)
    assert tuple(data.element_spec[0]["pose"].shape)[1:] == (14, 3)
    for step, ((x, _), (other, _)) in enumerate(
        zip(data, [*pydataset.epoch(loader, 1)], strict=True)
    ):
        expected = loader.batch(1, step)[0]["pose"]
        assert np.array_equal(x["pose"], expected) and np.array_equal(other["pose"], expected)


def test_a_plain_crop_has_the_loaders_scene():
    """What evaluation draws from is what a loader without augmentation draws from."""
    reader = with_others(DotsReader(3))
    x, _ = Loader(reader, SIZE, 3, seed=5, poses=True).batch(0, 0)
    scenes = [
        pose_scene.Scene.of_crop(s, geometry.crop_box(s.box, SIZE, 1.25), SIZE)
        for s in reader.samples
    ]
    rngs = generators(5, 0, range(3))
    found = pose_scene.input_poses(scenes, reader.skeleton, rngs, SIZE)
    assert np.allclose(found, x["pose"], atol=1e-4)
    scale = SIZE[0] / geometry.crop_box(reader.samples[0].box, SIZE, 1.25)[3]
    assert np.isclose(scenes[0].area, box_area(reader.samples[0]) * scale**2)


def test_a_pack_draws_the_poses_of_its_pictures(tmp_path):
    """Sizes, other persons and who is near travel with the patches."""
    reader = with_others(DotsReader(4))
    for n, sample in enumerate(reader.samples):
        area = 0.5 * sample.box[2] * sample.box[3]
        people = np.stack([sample.box, sample.box + (30, 0, 0, 0)])
        reader.samples[n] = dataclasses.replace(sample, area=area, people=people)
    patches = [packing.patch_of(reader.image(s), s, 150, 2.0) for s in reader.samples]
    packed = DotsReader(4)
    packed.samples = [sample for _, sample in patches]
    pictures = {sample.name: patch for patch, sample in patches}
    packed.image = lambda sample, reduce=1: pictures[sample.name]
    assert max(pictures["dots0#0"].shape) == 150 < max(reader.size)  # it was made smaller
    ours, theirs = (Loader(r, SIZE, 4, poses=True).batch(0, 0)[0]["pose"] for r in (reader, packed))
    assert np.array_equal(ours[..., 2], theirs[..., 2])
    np.testing.assert_allclose(ours, theirs, atol=1e-3)
    assert len({near(s) for s in reader.samples + packed.samples}) == 1
