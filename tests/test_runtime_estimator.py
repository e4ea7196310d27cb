"""PoseEstimator on real `.tflite` files: values, every kind of input and output, refusals."""

import dataclasses

import numpy as np
import pytest
from runtime_helpers import SIGMA, SIZE, SKELETON, dots_model, paint

from keras_pose import metadata
from keras_pose.errors import PoseError
from keras_pose.runtime.estimator import PoseEstimator
from keras_pose.skeletons import COCO17

POINTS = np.array([[30.3, 12.6], [14.2, 40.9], [51.7, 45.0]])
KINDS = [(o, i) for o in ("decoded", "heads") for i in ("float32", "uint8")]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    paths = {}
    for kind in KINDS:
        paths[kind] = folder / f"{'-'.join(kind)}.tflite"
        paths[kind].write_bytes(dots_model(*kind))
    return paths


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_a_patch_gives_the_painted_points(files, kind):
    estimator = PoseEstimator(files[kind])
    keypoints, scores = estimator.predict_patch(paint(SIZE, POINTS, SIGMA))
    assert keypoints.shape == (3, 2) and keypoints.dtype == np.float32
    assert scores.shape == (3,) and scores.dtype == np.float32
    tolerance = 0.1 if kind[1] == "float32" else 0.8  # int8 maps have steps of 1/127
    assert np.abs(keypoints - POINTS).max() < tolerance
    assert (scores > 0.85).all()


def test_heads_and_decoded_are_the_same_answer(files):
    patch = paint(SIZE, POINTS, SIGMA)
    decoded = PoseEstimator(files["decoded", "float32"]).predict_patch(patch)
    heads = PoseEstimator(files["heads", "float32"], threads=2).predict_patch(patch)
    np.testing.assert_allclose(decoded[0], heads[0], atol=1e-3)
    np.testing.assert_allclose(decoded[1], heads[1], atol=1e-5)


@pytest.mark.parametrize("output", ["decoded", "heads"])
def test_a_network_that_regresses(output, files, tmp_path):
    path = tmp_path / "points.tflite"
    path.write_bytes(dots_model(output, coordinates=True))
    estimator = PoseEstimator(path)
    keypoints, scores = estimator.predict_patch(paint(SIZE, POINTS, SIGMA))
    assert np.abs(keypoints - POINTS).max() < 0.5  # a dot's tail leaves the picture
    np.testing.assert_allclose(scores, (1 - np.exp(-0.2 / (SIGMA / 64))) ** 2, rtol=1e-4)
    pose = estimator(paint((300, 400), POINTS * 2 + 60, SIGMA * 2), (60, 60, 128, 128))
    assert np.abs(pose.keypoints - POINTS * 2 - 60).max() < 2.0
    # maps and coordinates are not taken for each other
    maps = files["heads", "float32"]
    for content, described in ((maps, path), (path, maps)):
        about = dataclasses.replace(metadata.read(described), output="heads")
        (tmp_path / "mixed.tflite").write_bytes(metadata.attach(content.read_bytes(), about))
        with pytest.raises(PoseError, match="for output 'heads'"):
            PoseEstimator(tmp_path / "mixed.tflite")


def test_a_box_in_a_picture_comes_back_in_its_pixels(files):
    estimator = PoseEstimator(files["decoded", "float32"])
    assert estimator.skeleton == SKELETON and estimator.input_size == SIZE
    points = POINTS * 2.5 + (100, 37)
    image = paint((300, 400), points, SIGMA * 2.5)
    pose = estimator(image, (99, 36, 160, 160))
    assert np.abs(pose.keypoints - points).max() < 0.3
    assert np.array_equal(pose.box, (99, 36, 160, 160))
    # another aspect grows to the input's, so that nobody is stretched
    assert np.allclose(estimator(image, (99, 76, 160, 80)).box, (99, 36, 160, 160))


@pytest.mark.parametrize("size", [(128, 64), (64, 128)])
def test_no_box_means_the_whole_picture(files, size):
    points = POINTS + np.array([(size[1] - 64) / 2, (size[0] - 64) / 2])
    pose = PoseEstimator(files["decoded", "float32"])(paint(size, points, 2 * SIGMA))
    assert np.abs(pose.keypoints - points).max() < 0.3


def test_a_picture_of_one_pixel_has_a_pose_without_a_person(files):
    pose = PoseEstimator(files["decoded", "float32"])(np.full((1, 1, 3), 90, np.uint8))
    assert np.isfinite(pose.keypoints).all() and pose.score < 0.05


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((20, 20), np.uint8),
        np.zeros((20, 20, 4), np.uint8),
        np.zeros((20, 20, 3), np.float32),
        np.zeros((0, 20, 3), np.uint8),
        [[1, 2], [3, 4]],
    ],
    ids=["grey", "rgba", "float", "empty", "list"],
)
def test_other_arrays_are_refused(files, image):
    estimator = PoseEstimator(files["decoded", "float32"])
    with pytest.raises(PoseError, match="RGB uint8"):
        estimator(image)


def test_a_patch_of_another_size_is_refused(files):
    with pytest.raises(PoseError, match=r"\(64, 64, 3\)"):
        PoseEstimator(files["decoded", "float32"]).predict_patch(np.zeros((64, 65, 3), np.uint8))


def test_files_that_cannot_be_used_are_named(files, tmp_path):
    good = files["decoded", "float32"].read_bytes()
    described = metadata.read(files["decoded", "float32"])
    broken = {
        "plain.tflite": (metadata.strip(good), "metadata"),
        "text.tflite": (b"hello, this is no model", "flatbuffer"),
        "cut.tflite": (metadata.attach(good[:2000], described), "LiteRT can run"),
        "joints.tflite": (
            metadata.attach(good, dataclasses.replace(described, skeleton=COCO17)),
            "17 key points",
        ),
        "kind.tflite": (
            metadata.attach(good, dataclasses.replace(described, output="heads")),
            "heads",
        ),
    }
    for name, (content, message) in broken.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(PoseError, match=message) as error:
            PoseEstimator(tmp_path / name)
        assert name in str(error.value)
    with pytest.raises(PoseError, match=r"missing\.tflite"):
        PoseEstimator(tmp_path / "missing.tflite")
