"""find_person: which look is taken, with an estimator that answers from a list."""

from types import SimpleNamespace

import numpy as np
from runtime_helpers import SKELETON

from keras_pose import geometry
from keras_pose.results import Pose
from keras_pose.runtime import find_person

HERE = np.array([[20.0, 20.0], [60.0, 70.0], [90.0, 90.0]])
THERE = HERE + (100.0, 0.0)
IMAGE = np.zeros((200, 300, 3), np.uint8)


class Scripted:
    """(points, score) of each call, the last one again and again; `boxes` are what was asked."""

    input_size = (64, 64)
    skeleton = SKELETON
    metadata = SimpleNamespace(threshold=0.5, crop_margin=1.5)

    def __init__(self, *answers):
        self.answers, self.boxes = list(answers), []

    def __call__(self, image, box):
        points, score = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.boxes.append(np.asarray(box))
        return Pose(points, np.full(3, score), self.boxes[-1])


def test_a_known_box_gets_the_models_margin_and_one_look():
    estimator = Scripted((HERE, 0.01))
    assert find_person(estimator, IMAGE, (10, 10, 80, 80)).score < 0.1
    (box,) = estimator.boxes
    np.testing.assert_allclose(box, geometry.crop_box((10, 10, 80, 80), (64, 64), 1.5))


def test_a_second_look_that_agrees_is_taken_at_once():
    estimator = Scripted((HERE, 0.6), (HERE + 1, 0.9), (THERE, 1.0))
    np.testing.assert_allclose(find_person(estimator, IMAGE).keypoints, HERE + 1)
    assert len(estimator.boxes) == 2


def test_a_second_look_that_disagrees_waits_for_a_better_one():
    estimator = Scripted((HERE, 0.6), (THERE, 0.8), (HERE, 0.6), (HERE, 0.7), (HERE, 0.0))
    np.testing.assert_allclose(find_person(estimator, IMAGE).keypoints, HERE)
    alone = Scripted((HERE, 0.6), (THERE, 0.8), (HERE, 0.0))
    np.testing.assert_allclose(find_person(alone, IMAGE).keypoints, THERE)


def test_nobody_is_nobody():
    assert find_person(Scripted((HERE, 0.2)), IMAGE) is None
    assert find_person(Scripted((HERE, 0.4), (HERE, 0.4)), IMAGE) is None  # never above 0.5
    assert find_person(Scripted((HERE, 0.4), (HERE, 0.4)), IMAGE, threshold=0.3) is not None
