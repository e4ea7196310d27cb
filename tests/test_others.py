"""Other persons of a picture: readers know them, batches move them with the one in the middle."""

import dataclasses

import numpy as np
import pytest
from dots import DotsReader, write

from keras_pose import models
from keras_pose.data import Augment, Loader, open_reader, packing
from keras_pose.data.sample import PictureReader
from keras_pose.skeletons import LSP14
from keras_pose.training import run
from keras_pose.training.recipe import Recipe

STRONG = Augment(scale=(0.7, 1.3), rotate=45.0, shift=0.2, flip=0.5, zoom_out=0.3, half_body=0.3)


class Gathering(PictureReader):
    """Persons of (14, 2) points each, by picture."""

    def __init__(self, pictures):
        super().__init__(LSP14)
        for name, people in pictures.items():
            for i, (points, visible) in enumerate(people):
                self._add(points, visible, f"{name}#{i}", name)
        self._refuse_empty("nowhere")


def test_a_reader_introduces_the_persons_of_a_picture():
    draw = np.random.default_rng(0)
    crowd = {
        name: [(draw.uniform(0, 90, (14, 2)), draw.random(14) < 0.7) for _ in range(n)]
        for name, n in (("three", 3), ("one", 1), ("two", 2))
    }
    crowd["three"].insert(1, (np.full((14, 2), 5.0), np.zeros(14, bool)))  # says nothing: left out
    reader = Gathering(crowd)
    assert [len(s.others) for s in reader.samples] == [2, 2, 2, 0, 1, 1]
    for sample in reader.samples:
        beside = [s for s in reader.samples if s.source == sample.source and s is not sample]
        expected = {
            np.column_stack([s.keypoints, s.visible]).astype("f4").tobytes() for s in beside
        }
        assert {np.ascontiguousarray(o).tobytes() for o in sample.others} == expected
        assert sample.others.dtype == np.float32
        assert all(not o[o[:, 2] == 0].any() for o in sample.others)  # masked like everybody's


def _beside_oneself(count, people=1):
    """Everybody is also among the others, with everything visible."""
    reader = DotsReader(count)
    for i, sample in enumerate(reader.samples):
        own = np.column_stack([sample.keypoints, np.ones(14)]).astype(np.float32)
        reader.samples[i] = dataclasses.replace(sample, others=np.stack([own] * people))
    return reader


@pytest.mark.parametrize("augment", [None, STRONG])
def test_others_are_turned_moved_and_mirrored_with_the_person(augment):
    loader = Loader(_beside_oneself(24), (96, 64), 8, augment, seed=3, others=2)
    compared = 0
    for step in range(loader.steps):
        _, y = loader.batch(1, step)
        assert y["others"].shape == (8, 2, 14, 2) and y["others_visible"].shape == (8, 2, 14)
        seen = y["visible"] == 1
        assert (y["others_visible"][:, 0][seen] == 1).all()
        np.testing.assert_array_equal(y["others"][:, 0][seen], y["keypoints"][seen])
        assert not y["others"][:, 1].any() and not y["others_visible"][:, 1].any()
        hidden = y["others_visible"] == 0
        assert not y["others"][hidden].any()
        compared += seen.sum()
    assert compared > 100


def test_who_is_seen_most_comes_first():
    reader = _beside_oneself(1, people=4)
    others = reader.samples[0].others.copy()
    for person, count in enumerate((3, 9, 0, 6)):
        others[person, count:, 2] = 0
    others[1, :4, :2] += 5000.0  # far outside: five are left
    reader.samples[0] = dataclasses.replace(reader.samples[0], others=others)
    _, y = Loader(reader, (128, 128), 1, others=3).batch(0, 0)
    assert y["others_visible"][0].sum(axis=1).tolist() == [6, 5, 3]


def test_a_crop_without_a_person_has_no_others():
    wide = DotsReader(24, size=(400, 1200), region=(300, 340))
    for i, sample in enumerate(wide.samples):
        everywhere = np.random.default_rng(i).uniform(0, 400, (20, 14, 3)).astype(np.float32)
        everywhere[..., 0] *= 3
        wide.samples[i] = dataclasses.replace(sample, others=everywhere)
    _, y = Loader(wide, (64, 64), 24, Augment(background=0.5), others=20).batch(0, 0)
    empty = y["person"] == 0
    assert 0 < empty.sum() < 24
    assert not y["others_visible"][empty].any() and y["others_visible"][~empty].any()


def test_nobody_tells_of_others_unasked():
    reader = _beside_oneself(8)
    x, y = Loader(reader, (64, 64), 8, STRONG, seed=1, others=3).batch(2, 0)
    plain = Loader(reader, (64, 64), 8, STRONG, seed=1).batch(2, 0)
    assert set(y) - set(plain[1]) == {"others", "others_visible"}
    for given, expected in zip((x, y), plain, strict=True):
        assert all(np.array_equal(given[k], v) for k, v in expected.items())


def test_others_travel_in_a_pack(tmp_path, monkeypatch):
    reader = _beside_oneself(4)
    for i, sample in enumerate(reader.samples):  # 0 to 3 of them, each with so many joints
        others = np.repeat(sample.others, i, axis=0)
        for person in range(i):
            others[person, 14 - person :] = 0
        reader.samples[i] = dataclasses.replace(sample, others=others)
    monkeypatch.setattr(packing, "open_reader", lambda where, split: reader)
    packing.pack("dots", tmp_path / "dots.pack", size=100)
    samples = open_reader(tmp_path / "dots.pack").samples
    assert [len(s.others) for s in samples] == [0, 1, 2, 3]
    for sample in samples:
        for person, other in enumerate(sample.others):
            assert other[:, 2].tolist() == [1] * (14 - person) + [0] * person
            both = sample.visible & (other[:, 2] > 0)
            np.testing.assert_allclose(other[both, :2], sample.keypoints[both], atol=1e-4)
            assert not other[14 - person :].any()


def test_tf_data_gives_the_same_others():
    tfdata = pytest.importorskip("keras_pose.data.tfdata", reason="TensorFlow is not installed")
    loader = Loader(_beside_oneself(4), (64, 48), 2, STRONG, seed=1, others=3)
    data = tfdata.epoch(loader, 2)
    assert tuple(data.element_spec[1]["others"].shape) == (2, 3, 14, 2)
    assert tuple(data.element_spec[1]["others_visible"].shape) == (2, 3, 14)
    for step, (_, y) in enumerate(data):
        expected = loader.batch(2, step)[1]
        assert y.keys() == expected.keys()
        for name, values in expected.items():
            assert np.array_equal(y[name], values), name


@pytest.mark.parametrize("others, expected", [(3, (4, 3, 14, 2)), (0, None)])
def test_a_run_brings_as_many_others_as_the_criterion_asks_for(others, expected, tmp_path):
    small = {"input_size": (32, 32), "stages": 1, "channels": 2, "wide": 2, "others": others}
    data = write(DotsReader(4), tmp_path / "data")
    recipe = Recipe(builder=models.CPM.__name__, network=small, batch_size=4)
    made = run.Run(recipe, data, tmp_path / "run", resume=False, progress=False)
    _, y = made.loader.batch(0, 0)
    assert (y["others"].shape if "others" in y else None) == expected
    made.bar.close()
