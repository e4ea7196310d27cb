import dataclasses

import numpy as np
import pytest
from dots import DotsReader, color, write

from keras_pose import geometry
from keras_pose.data import Augment, Loader, open_reader, patches
from keras_pose.data.augment import Draw, draw
from keras_pose.data.sheet import inputs
from keras_pose.errors import PoseError
from keras_pose.runtime.crop import cut

STILL = Augment(scale=(1.0, 1.0), rotate=0.0, shift=0.0, flip=0.0, color=0.0)
STRONG = Augment(scale=(0.75, 1.3), rotate=45.0, shift=0.1, flip=0.5, color=0.0, zoom_out=0.3)


def distances(loader, epoch=0):
    """Pixels between each label and the centre of the dot under it, and the dots' colours."""
    gaps, wrong = [], 0
    for step in range(loader.steps):
        x, y = loader.batch(epoch, step)
        pictures = inputs(x, loader.input_size).astype(float)
        for picture, points, visible in zip(pictures, y["keypoints"], y["visible"], strict=True):
            points = geometry.denormalise(points, loader.input_size)
            for k in np.flatnonzero(visible):
                low = np.rint(points[k]).astype(int) - 4
                high = low + 9
                if (low < 0).any() or (high > loader.input_size[::-1]).any():
                    continue  # cut off by the border: its centre cannot be measured
                window = picture[low[1] : high[1], low[0] : high[0]]
                # outside the picture the patch is grey; what is painted is saturated
                ink = np.ptp(window, axis=-1)
                gy, gx = np.mgrid[low[1] : high[1], low[0] : high[0]]
                centre = np.array([(gx * ink).sum(), (gy * ink).sum()]) / ink.sum()
                gaps.append(np.linalg.norm(centre - points[k]))
                wrong += np.argmax(window.sum(axis=(0, 1))) != np.argmax(color(k))
    return np.array(gaps), wrong


@pytest.mark.parametrize("size", [(128, 128), (160, 96)])
@pytest.mark.parametrize("augment", [None, STRONG])
def test_labels_sit_on_the_dots(size, augment):
    loader = Loader(DotsReader(16), size, 8, augment, seed=2)
    gaps, wrong = distances(loader)
    assert len(gaps) > 100
    assert np.quantile(gaps, 0.99) < 0.6 and gaps.mean() < 0.25, (gaps.max(), gaps.mean())
    if augment is None:
        assert wrong == 0


def test_a_mirror_image_exchanges_left_and_right():
    flips = Augment(scale=(1.0, 1.0), rotate=20.0, shift=0.05, flip=1.0, color=0.0)
    loader = Loader(DotsReader(8), (128, 128), 8, flips)
    x, y = loader.batch(0, 0)
    pictures = inputs(x, (128, 128))
    seen = 0
    for picture, points, visible in zip(pictures, y["keypoints"], y["visible"], strict=True):
        for k in np.flatnonzero(visible):
            px, py = np.rint(geometry.denormalise(points[k], (128, 128))).astype(int)
            if 0 <= px < 128 and 0 <= py < 128:
                # the label "right" now stands where the left dot was painted
                assert np.argmax(picture[py, px]) == np.argmax(
                    color(loader.reader.skeleton.mirror[k])
                )
                seen += 1
    assert seen > 60


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_points_within_reach_beyond_the_border_keep_their_place(flip):
    """Seen by a larger input at the same scale, they are where the labels of the smaller say."""
    reader = DotsReader(12)
    augment = Augment(scale=(1.6, 1.6), rotate=30.0, shift=0.2, flip=flip, color=0.0)
    near, far = (Loader(reader, (64, 48), 12, augment, reach=r) for r in (0.0, 0.25))
    wide = Loader(reader, (128, 96), 12, dataclasses.replace(augment, shift=0.1), crop_margin=2.5)
    (_, inside), (_, reached), (_, all_of_them) = (one.batch(0, 0) for one in (near, far, wide))
    truth = 2 * all_of_them["keypoints"] - 0.5
    seen = all_of_them["visible"] == 1
    assert np.allclose(reached["keypoints"][seen], truth[seen] * reached["visible"][seen][:, None],
                       atol=1e-5)  # fmt: skip
    for labels, reach in ((inside, 0.0), (reached, 0.25)):
        expected = (truth >= -reach).all(axis=-1) & (truth < 1 + reach).all(axis=-1) & seen
        assert np.array_equal(labels["visible"] == 1, expected)
    beyond = reached["keypoints"][(reached["visible"] == 1) & (inside["visible"] == 0)]
    assert len(beyond) > 10 and (beyond < 0).any() and (beyond >= 1).any()
    assert beyond.min() >= -0.25 and beyond.max() < 1.25


def test_two_mirror_images_are_none():
    for degrees in (0.0, 33.0):
        view = patches.View(np.array([80.0, 90.0]), 0.7)
        plain = patches.frames(view, Draw(), (128, 96), (150, 150))
        _, there, back = patches.frames(
            view, Draw(flip=True, degrees=degrees), (128, 96), (150, 150)
        )
        assert np.allclose(geometry.compose(back, there), np.eye(3)[:2])
        mirror = np.array([[-1.0, 0, 95.0], [0, 1, 0]])
        turned = patches.frames(view, Draw(degrees=degrees), (128, 96), (150, 150))[1]
        assert np.allclose(geometry.compose(there, mirror), turned)
        assert np.allclose(plain[1], [[1, 0, (150 - 96) // 2], [0, 1, (150 - 128) // 2]])


def test_without_augmentation_the_input_is_the_exact_crop():
    reader = DotsReader(5)
    loader = Loader(reader, (128, 96), 2)
    assert (loader.patch_size, loader.steps, loader.full) == (128, 3, False)
    seen = [loader.batch(0, s) for s in range(3)]
    assert [len(x["patch"]) for x, _ in seen] == [2, 2, 1]
    pictures = np.concatenate([inputs(x, (128, 96)) for x, _ in seen])
    for sample, picture in zip(reader.samples, pictures, strict=True):
        box = geometry.crop_box(sample.box, (128, 96), 1.25)
        exact, _ = cut(reader.image(sample), box, (128, 96))
        assert np.array_equal(picture, exact)


def test_the_patch_holds_every_turned_input():
    for size in ((128, 128), (160, 96), (96, 160)):
        for most in (0.0, 10.0, 45.0, 90.0, 180.0):
            side = patches.patch_side(size, most)
            for degrees in np.linspace(-most, most, 37):
                view = patches.View(np.zeros(2), 1.0)
                _, matrix, _ = patches.frames(view, Draw(degrees=degrees), size, (side, side))
                height, width = size
                corners = [(0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1)]
                there = geometry.apply(matrix, corners)
                assert there.min() >= -1e-3 and there.max() <= side - 1 + 1e-3, (size, degrees)


def test_a_jpeg_is_read_no_larger_than_needed(tmp_path):
    big = DotsReader(6, size=(700, 800))
    reader = open_reader(write(big, tmp_path, ".jpg"))
    factors = []
    image = reader.image
    reader.image = lambda sample, reduce=1: factors.append(reduce) or image(sample, reduce)
    x, _ = Loader(reader, (128, 128), 6, STILL).batch(0, 0)
    assert set(factors) <= {2, 4, 8}
    full = Loader(big, (128, 128), 6, STILL).batch(0, 0)[0]
    # two ways of averaging, the same place: dots that were shifted would differ far more
    assert np.abs(x["patch"].astype(int) - full["patch"]).mean() < 1.5


@pytest.mark.parametrize("share", [0.4, 0.55])
def test_zoomed_out_people_take_their_share_and_stay_inside(share):
    reader = DotsReader(10)
    for sample in reader.samples:
        for move in ((1.0, 1.0), (-1.0, 0.3), (0.0, 0.0)):
            view = patches.person_view(
                sample, Draw(share=share, move=move), (128, 128), 1.25, reader.skeleton, 0.1
            )
            extent = sample.box[2:] * view.scale / 128
            assert max(extent) == pytest.approx(share)
            centre = (sample.box[:2] + sample.box[2:] / 2 - view.centre) * view.scale + 64
            assert (centre - extent * 64 > -0.5).all() and (centre + extent * 64 < 128.5).all()


def test_half_bodies_are_centred_on_their_joints():
    reader = DotsReader(12)
    lower = np.array([n in reader.skeleton.lower for n in reader.skeleton.keypoints])
    for sample in reader.samples:
        for half, chosen in ((1, ~lower), (-1, lower)):
            box = geometry.extent(sample.keypoints, sample.visible & chosen)
            view = patches.person_view(sample, Draw(half=half), (128, 128), 1.25, reader.skeleton)
            assert np.allclose(view.centre, box[:2] + box[2:] / 2)


@pytest.mark.parametrize("half", [1, -1])
@pytest.mark.parametrize(
    "upper, lower, halved", [(8, 0, (1,)), (4, 4, (1, -1)), (3, 3, ()), (5, 2, (1,)), (0, 6, ())]
)
def test_who_is_hardly_seen_is_seen_whole(half, upper, lower, halved):
    """Half of the joints, and three of the half that is looked at."""
    reader = DotsReader(1)
    sample = reader.samples[0]
    legs = np.array([n in reader.skeleton.lower for n in reader.skeleton.keypoints])
    sample.visible[:] = False
    for chosen, count in ((~legs, upper), (legs, lower)):
        sample.visible[np.flatnonzero(chosen)[:count]] = True
    view = patches.person_view(sample, Draw(half=half), (128, 128), 1.25, reader.skeleton)
    whole = np.allclose(view.centre, sample.box[:2] + sample.box[2:] / 2)
    assert whole == (half not in halved)


def test_background_crops_show_nobody():
    wide = DotsReader(24, size=(400, 1200), region=(300, 340))
    augment = Augment(background=0.5, color=0.0)
    loader = Loader(wide, (64, 64), 24, augment, shuffle=False)
    x, y = loader.batch(0, 0)
    drawn = np.array([draw(augment, 0, 0, i).places is not None for i in range(24)])
    assert np.array_equal(y["person"] == 0, drawn) and 0 < drawn.sum() < 24
    empty = inputs(x, (64, 64))[drawn]
    assert np.ptp(empty, axis=-1).max() < 40  # no paint, whatever was drawn
    assert not y["visible"][drawn].any()
    assert y["visible"][~drawn].any(axis=1).all()


def test_without_room_a_background_crop_becomes_the_person():
    reader = DotsReader(4)
    for sample in reader.samples:
        sample.box[:] = (-500, -500, 2000, 2000)
    _, y = Loader(reader, (64, 64), 4, Augment(background=1.0)).batch(0, 0)
    assert y["person"].all()


def test_everybody_else_is_kept_out_of_background_crops():
    sample = DotsReader(1).samples[0]
    drawn = draw(Augment(background=1.0), 0, 0, 0)
    alone = patches.background_view(sample, drawn, (64, 64), 1.25, (400, 3000))
    assert not alone.person
    crowd = np.array([[400.0, 0.0, 2600.0, 400.0]])
    crowded = dataclasses.replace(sample, people=crowd)
    assert patches.background_view(crowded, drawn, (64, 64), 1.25, (400, 3000)) is None


def test_batches_depend_on_nothing_but_seed_epoch_and_step():
    one, two = (Loader(DotsReader(12), (64, 64), 4, STRONG, seed=7) for _ in range(2))
    late = two.batch(3, 2)
    for step in range(3):
        one.batch(3, step)
    same = one.batch(3, 2)
    for first, second in zip(same, late, strict=True):
        assert all(np.array_equal(first[k], second[k]) for k in first)
    other = Loader(DotsReader(12), (64, 64), 4, STRONG, seed=8).batch(3, 2)
    assert not np.array_equal(other[0]["patch"], late[0]["patch"])
    assert not np.array_equal(one.order(0), one.order(1))
    assert sorted(one.order(5)) == list(range(12))
    assert np.array_equal(
        Loader(DotsReader(12), (64, 64), 4, STRONG, shuffle=False).order(5), range(12)
    )


@pytest.mark.parametrize("augment", [None, STRONG])
def test_shards_partition_the_samples(augment):
    loaders = [Loader(DotsReader(13), (64, 64), 2, augment, shard=(i, 3)) for i in range(3)]
    parts = [loader.order(4) for loader in loaders]
    assert sorted(np.concatenate(parts)) == list(range(13))
    if augment is not None:
        assert {loader.steps for loader in loaders} == {2}  # replicas step together
    else:
        assert sum(len(x.batch(0, s)[1]["person"]) for x in loaders for s in range(x.steps)) == 13


def test_an_unreadable_picture_is_replaced_and_counted_once():
    reader = DotsReader(6, broken=(2, 3))
    loader = Loader(reader, (64, 64), 6, STILL, shuffle=False)
    x, y = loader.batch(0, 0)
    loader.batch(1, 0)
    assert reader.skips.count == 2 and "unreadable" in reader.skips.summary()
    assert np.array_equal(x["patch"][2], x["patch"][4]) and np.array_equal(
        y["keypoints"][3], y["keypoints"][4]
    )
    fresh = Loader(DotsReader(6, broken=(2, 3)), (64, 64), 6, STILL, shuffle=False)
    assert np.array_equal(fresh.batch(1, 0)[0]["patch"], x["patch"])
    nothing = DotsReader(3, broken=range(3))
    with pytest.raises(PoseError, match="readable picture"):
        Loader(nothing, (64, 64), 3, STILL).batch(0, 0)


def test_wild_coordinates_still_give_a_batch():
    reader = DotsReader(2)
    reader.samples[0].keypoints[0] = 1e9
    reader.samples[0].box[:] = geometry.extent(reader.samples[0].keypoints)
    x, y = Loader(reader, (64, 64), 2, STRONG, shuffle=False).batch(0, 0)
    assert np.isfinite(y["keypoints"]).all() and np.isfinite(x["matrix"]).all()


def test_too_few_samples_and_impossible_shards_are_refused():
    with pytest.raises(PoseError, match="batch_size"):
        Loader(DotsReader(3), (64, 64), 4, STRONG)
    with pytest.raises(PoseError, match="at least 1 persons"):
        Loader(DotsReader(0), (64, 64), 4)
    with pytest.raises(PoseError, match="shard"):
        Loader(DotsReader(3), (64, 64), 1, shard=(2, 2))
    with pytest.raises(PoseError, match="a step in"):
        Loader(DotsReader(3), (64, 64), 1).batch(0, 3)
    for reach in (-0.1, float("nan")):
        with pytest.raises(PoseError, match="reach"):
            Loader(DotsReader(3), (64, 64), 1, reach=reach)
