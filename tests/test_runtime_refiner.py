"""PoseRefiner on real `.tflite` files: the pose chooses, comes back in the picture's pixels, and
keeps its scores."""

import dataclasses
import sys

import numpy as np
import pytest
from conftest import ROOT
from runtime_helpers import SIGMA, SIZE, dots_model, paint
from tiny_refiner import DotsRefiner

from keras_pose import export, geometry
from keras_pose.errors import PoseError
from keras_pose.runtime import PoseEstimator, PoseRefiner, benchmark
from keras_pose.runtime.refiner import around, opened

POINTS = np.array([[30.3, 12.6], [14.2, 40.9], [51.7, 45.0]])
KINDS = [(o, i) for o in ("decoded", "heads") for i in ("float", "uint8")]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder, network = tmp_path_factory.mktemp("refiners"), DotsRefiner()
    paths = {}
    for output, io in KINDS:
        paths[output, io] = folder / f"{output}-{io}.tflite"
        paths[output, io].write_bytes(export.to_tflite(network, "fp32", io, output))
    return paths


@pytest.fixture(scope="module")
def refiner(files):
    return PoseRefiner(files["decoded", "float"])


def pose(points, score=0.5):
    return np.column_stack([points, np.full(len(points), score)]).astype(np.float32)


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_a_pose_that_is_near_becomes_exact(files, kind):
    """Whatever the place and the size of the person: the crop is that of the pose."""
    refiner = PoseRefiner(files[kind])
    points = POINTS * 2.5 + (100, 37)
    image = paint((300, 400), points, SIGMA * 2.5)
    given = pose(points + [[6, -5], [-7, 4], [5, 6]])
    found = refiner(image, given[None])
    assert found.shape == (1, 3, 3) and found.dtype == np.float32
    assert np.abs(found[0, :, :2] - points).max() < 1.5
    assert (np.abs(given[:, :2] - points).max(axis=1) > 3).all()


def test_of_two_persons_the_pose_chooses(refiner):
    """In crops that show both; the network finds no more than what the pose is near to."""
    first = np.array([[60.0, 40.0], [70.0, 140.0], [80.0, 240.0]])
    second = first + (120, 0)
    image = np.minimum(
        paint((300, 300), first, 9.0).astype(int) + paint((300, 300), second, 9.0) - 127, 255
    ).clip(0).astype(np.uint8)  # fmt: skip
    poses = np.stack([pose(first + 8), pose(second - 8)])
    found = refiner(image, poses)
    assert np.abs(found[0, :, :2] - first).max() < 4 and np.abs(found[1, :, :2] - second).max() < 4
    np.testing.assert_array_equal(refiner(image, poses[1:])[0], found[1])  # each for itself


def test_scores_are_those_of_the_input(refiner):
    image = paint((200, 200), POINTS * 2 + 30, SIGMA * 2)
    given = pose(POINTS * 2 + 32)
    given[:, 2] = (0.25, 0.0, np.nan)  # whatever the score, a point that is there is looked at
    found = refiner(image, given[None])[0]
    np.testing.assert_array_equal(found[:, 2], np.float32([0.25, 0, 0]))
    assert np.abs(found[:, :2] - POINTS * 2 - 30).max() < 1.5


def test_what_a_pose_lacks_is_not_shown_and_what_it_has_not_at_all_comes_back(refiner):
    image = paint((200, 200), POINTS * 2 + 30, SIGMA * 2)
    given = np.tile(pose(POINTS * 2 + 32), (3, 1, 1))
    given[0, 1] = 0
    given[1, 1] = (np.nan, 5, 0.5)
    given[2] = 0
    given[2, 0] = (np.nan, np.inf, 0.1)
    found = refiner(image, given)
    assert np.abs(found[:2, [0, 2], :2] - POINTS[[0, 2]] * 2 - 30).max() < 1.5
    assert (found[:2, 1, 2] == 0).all() and np.isfinite(found[:2]).all()
    np.testing.assert_array_equal(found[0], found[1])  # 0, 0, 0 and no number are the same
    np.testing.assert_array_equal(found[2], given[2])
    assert refiner(image, np.zeros((0, 3, 3))).shape == (0, 3, 3)


def test_the_crop_is_the_poses_own_extent_grown():
    box = around(np.array([[10.0, 20.0], [110.0, 220.0]]))
    np.testing.assert_allclose(box, (0, 0, 120, 240))
    crop = geometry.crop_box(box, (256, 192), 1.25)  # the release: x 1.2, to 4:3, x 1.25
    np.testing.assert_allclose(crop[2:], (225, 300))
    np.testing.assert_allclose(around(np.array([[5.0, 7.0]])), (-5, -3, 20, 20))


def test_training_may_note_how_far_a_crop_grows(refiner, monkeypatch):
    given = pose(POINTS)
    plain = refiner.crop(given)
    twice = dataclasses.replace(refiner.metadata, grown=2 * refiner.metadata.grown)
    monkeypatch.setattr(refiner, "metadata", twice)
    np.testing.assert_allclose(refiner.crop(given)[2:], 2 * plain[2:])


def test_the_given_arrays_stay_as_they_are(refiner):
    image = paint((200, 200), POINTS * 2 + 30, SIGMA * 2)
    given = pose(POINTS * 2 + 32)[None]
    copies = image.copy(), given.copy()
    refiner(image, given)
    assert np.array_equal(image, copies[0]) and np.array_equal(given, copies[1])


def test_strange_places_give_finite_answers(refiner):
    image = paint((50, 60), [[10, 10], [30, 30], [50, 40]], 4.0)
    poses = np.stack([pose([[10, 10]] * 3), pose([[9e3, 9e3], [9e3, 1e4], [1e4, 9e3]]),
                      pose([[-1e6, 0], [1e6, 1], [0, 2]])])  # fmt: skip
    assert np.isfinite(refiner(image, poses)).all()


@pytest.mark.parametrize("shape", [(3, 3), (1, 4, 3), (1, 3, 2), (1, 0, 3)], ids=str)
def test_other_arrays_are_refused(refiner, shape):
    with pytest.raises(PoseError, match=r"\(N, 3, 3\)"):
        refiner(np.zeros((20, 20, 3), np.uint8), np.zeros(shape))
    with pytest.raises(PoseError, match="RGB uint8"):
        refiner(np.zeros((20, 20)), np.zeros((1, 3, 3)))


def test_a_file_of_the_other_kind_says_what_opens_it(files, tmp_path):
    estimator = tmp_path / "estimator.tflite"
    estimator.write_bytes(dots_model())
    with pytest.raises(PoseError, match="PoseRefiner") as error:
        PoseEstimator(files["decoded", "float"])
    assert "image and pose" in error.value.received
    with pytest.raises(PoseError, match="PoseEstimator"):
        PoseRefiner(estimator)
    assert type(opened(estimator)) is PoseEstimator
    assert type(opened(files["heads", "float"])) is PoseRefiner


def test_predict_refuses_a_refiner_and_benchmark_times_it(files, tmp_path, capsys):
    sys.path.insert(0, str(ROOT / "apps"))
    import predict

    path = files["decoded", "uint8"]
    with pytest.raises(SystemExit):
        predict.main(["--model", str(path), "--source", str(tmp_path), "--out", str(tmp_path)])
    assert "PoseRefiner" in capsys.readouterr().err
    timing = benchmark.compare([path, path], rounds=2)[1]
    assert timing.median > 0 and "uint8 1x64x64x3" in timing.inputs
    assert "float32 1x3x3" in timing.inputs


def test_a_patch_and_its_pose_are_answered_as_the_network_does(files):
    network, refiner = DotsRefiner(), PoseRefiner(files["heads", "float"])
    patch = paint(SIZE, POINTS, SIGMA)
    given = np.column_stack([(POINTS + 2) / 64, np.ones(3)]).astype(np.float32)
    maps = network({"image": patch[None].astype(np.float32), "pose": given[None]})["heatmaps"]
    points, scores = network.codec.decode(np.asarray(maps))
    found, score = refiner.predict_patch(patch, given)
    np.testing.assert_allclose(found, geometry.denormalise(points[0], SIZE), atol=0.05)
    np.testing.assert_allclose(score, scores[0], atol=1e-4)
    with pytest.raises(PoseError, match=r"\(64, 64, 3\)"):
        refiner.predict_patch(patch[:32], given)
