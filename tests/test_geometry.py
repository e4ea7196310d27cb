"""The coordinate convention, as round trips."""

import cv2
import numpy as np
import pytest

from keras_pose import geometry

POINTS = np.random.default_rng(0).uniform(-20, 150, (40, 2)).astype(np.float32)


def test_normalised_and_back():
    size = (96, 128)
    assert np.allclose(
        geometry.denormalise(geometry.normalise(POINTS, size), size), POINTS, atol=1e-4
    )


def test_normalised_corners():
    # a picture's outer edges are 0 and 1, its first pixel's centre is half a pixel inside
    assert np.allclose(
        geometry.normalise([(-0.5, -0.5), (127.5, 95.5)], (96, 128)), [(0, 0), (1, 1)]
    )


def test_box_to_size_keeps_normalised_coordinates():
    size, small = (100, 200), (25, 40)
    matrix = geometry.box_to_size(geometry.whole(size), small)
    before, after = geometry.normalise(POINTS, size), geometry.apply(matrix, POINTS)
    assert np.allclose(geometry.normalise(after, small), before, atol=1e-5)


def test_inverse_undoes():
    matrix = geometry.similarity((30, 40), 1.7, 33, target=(64, 64), flip=True)
    back = geometry.invert(matrix)
    assert np.allclose(geometry.compose(back, matrix), np.eye(3)[:2], atol=1e-9)
    assert np.allclose(geometry.apply(back, geometry.apply(matrix, POINTS)), POINTS, atol=1e-3)


def test_similarity_moves_its_centre_and_scales():
    matrix = geometry.similarity((30, 40), 2.0, 70, target=(5, 6))
    assert np.allclose(geometry.apply(matrix, (30, 40)), (5, 6), atol=1e-4)
    assert np.isclose(np.linalg.det(matrix[:, :2]), 4.0)


def test_flip_is_one_minus_u():
    size = (64, 64)
    matrix = geometry.similarity((31.5, 31.5), flip=True)
    mirrored = geometry.normalise(geometry.apply(matrix, POINTS), size)
    assert np.allclose(mirrored[:, 0], 1 - geometry.normalise(POINTS, size)[:, 0], atol=1e-5)


def test_flip_agrees_with_a_mirrored_picture():
    image = np.zeros((9, 9), np.float32)
    image[4, 2] = 1
    matrix = geometry.similarity((4, 4), flip=True)
    assert np.allclose(cv2.warpAffine(image, matrix, (9, 9)), image[:, ::-1])


def test_positive_angles_turn_clockwise_on_the_screen():
    matrix = geometry.similarity((0, 0), degrees=90)
    assert np.allclose(geometry.apply(matrix, (1, 0)), (0, 1), atol=1e-6)  # right goes down


def test_extent():
    points = np.array([(1, 2), (5, 3), (100, 100)], np.float32)
    assert np.allclose(geometry.extent(points, [1, 1, 0]), (1, 2, 4, 1))
    assert geometry.extent(points, [0, 0, 0]) is None


@pytest.mark.parametrize("size", [(128, 128), (256, 192), (96, 160)])
@pytest.mark.parametrize("box", [(10, 20, 30, 80), (5, 5, 90, 10), (7, 7, 0, 0)])
def test_crop_has_the_aspect_the_centre_and_the_content(box, size):
    crop = geometry.crop_box(box, size, margin=1.25)
    assert np.isclose(crop[2] / crop[3], size[1] / size[0])
    assert np.allclose(crop[:2] + crop[2:] / 2, np.array(box[:2]) + np.array(box[2:]) / 2)
    assert crop[2] >= 1.25 * box[2] - 1e-9 and crop[3] >= 1.25 * box[3] - 1e-9
    assert min(crop[2:]) >= 16 * min(size) / max(size)


def test_overlap():
    assert geometry.overlap((0, 0, 2, 2), (0, 0, 2, 2)) == 1
    assert geometry.overlap((0, 0, 2, 2), (5, 5, 2, 2)) == 0
    assert np.isclose(geometry.overlap((0, 0, 2, 2), (1, 0, 2, 2)), 1 / 3)
