"""What is drawn, where and in which colour."""

import numpy as np
import pytest

from keras_pose.errors import PoseError
from keras_pose.results import Pose
from keras_pose.runtime.drawing import caption, contact_sheet, draw
from keras_pose.skeletons import LSP14, Skeleton

SIDES = Skeleton(
    "sides",
    ("top", "left_a", "right_a", "left_b", "right_b"),
    edges=((1, 3), (2, 4), (0, 1), (1, 2)),
)
POINTS = np.array([[50, 10], [20, 40], [80, 40], [20, 80], [80, 80]])


def _draw(scores, points=POINTS, threshold=0.3):
    image = np.zeros((100, 100, 3), np.uint8)
    assert draw(image, Pose(points, scores), SIDES, threshold) is image
    return image


def test_bones_and_points_have_the_colours_of_their_side():
    image = _draw(np.ones(5))
    left, right = SIDES.colors[1], SIDES.colors[2]
    assert tuple(image[60, 20]) == left and tuple(image[60, 80]) == right
    assert tuple(image[25, 35]) == left  # from the middle line to the left
    assert tuple(image[40, 50]) == (255, 255, 255)  # from one side to the other
    assert tuple(image[10, 50]) == SIDES.colors[0]


def test_only_confident_points_and_bones_between_them_are_drawn():
    image = _draw([1, 1, 1, 0.2, 1])
    assert not image[80, 20].any() and not image[60, 20].any()
    assert image[40, 20].any() and image[60, 80].any()
    assert not _draw(np.full(5, 0.29)).any()
    assert _draw(np.full(5, 0.29), threshold=0.2).any()


def test_points_outside_the_picture_do_no_harm():
    image = _draw(np.ones(5), POINTS + [[0, 0], [1e9, 0], [0, -1e9], [-500, 0], [0, 90]])
    assert image.shape == (100, 100, 3)
    tiny = np.zeros((1, 1, 3), np.uint8)
    draw(tiny, Pose(np.zeros((14, 2)), np.ones(14)), LSP14)
    assert tiny.any()


def test_a_caption_writes_into_the_upper_left_corner():
    image = np.full((720, 1280, 3), 128, np.uint8)
    assert caption(image, "30 fps") is image
    changed = np.argwhere((image != 128).any(axis=2))
    assert len(changed) > 100 and (changed.max(axis=0) < (60, 200)).all()


def test_a_contact_sheet_keeps_every_picture_whole_and_in_order():
    images = [np.full(s, 10 * (i + 1), np.uint8) for i, s in enumerate([(90, 30, 3)] * 5)]
    images[1] = np.full((10, 20, 3), 20, np.uint8)
    sheet = contact_sheet(images, columns=3, cell=(60, 40), gap=2)
    assert sheet.shape == (2 * 62 + 2, 3 * 42 + 2, 3)
    for i in range(5):
        y, x = 2 + i // 3 * 62 + 30, 2 + i % 3 * 42 + 20
        assert (sheet[y, x] == 10 * (i + 1)).all()
    assert (sheet == 20).all(axis=2).sum() == 20 * 40
    with pytest.raises(PoseError, match="at least one picture"):
        contact_sheet([])
