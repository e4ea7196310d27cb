"""What a still camera tells: where something has changed, and that a coat is no person."""

import numpy as np
import pytest

from keras_pose.codecs import GaussianHeatmap
from keras_pose.metadata import Metadata
from keras_pose.results import Pose
from keras_pose.runtime.motion import Motion
from keras_pose.runtime.tracker import PoseTracker
from keras_pose.skeletons import Skeleton

SIZE = (360, 640)
FPS = 25.0
CORNERS = Skeleton("corners", ("a", "b", "c", "d"), edges=((0, 1), (1, 2), (2, 3)))


def _scene(boxes=(), seed=0, noise=2.0, shift=0.0):
    """A textured picture with bright boxes (x, y, w, h), and a camera's noise."""
    texture = np.random.default_rng(99).uniform(40, 120, (*SIZE, 1)) + shift
    image = np.repeat(texture, 3, axis=2)
    for x, y, w, h in boxes:
        image[y : y + h, x : x + w] = 220
    image += np.random.default_rng(seed).normal(0, noise, (*SIZE, 1))
    return np.clip(image, 0, 255).astype(np.uint8)


def _learned(count=10):
    motion = Motion()
    for i in range(count):
        motion.learn(_scene(seed=i), i / FPS)
    return motion


def test_noise_is_no_change():
    motion = _learned()
    motion.learn(_scene(seed=77, noise=4.0), 1.0)
    assert motion.place() is None and motion.share((0, 0, 640, 360)) < 0.01


@pytest.mark.parametrize("box", [(100, 80, 40, 120), (0, 200, 60, 90), (600, 20, 40, 60)])
def test_something_new_is_found_where_it_is(box):
    motion = _learned()
    motion.learn(_scene([box], seed=50), 0.5)
    x, y, w, h = motion.place()
    assert np.abs(np.array([x, y, x + w, y + h]) - [*box[:2], *np.add(box[:2], box[2:])]).max() < 20
    assert motion.share(box) > 0.8
    assert motion.share((300, 20, 40, 60)) < 0.05
    assert motion.share((-500, -500, 10, 10)) == 0.0


def test_what_stays_becomes_the_scene_unless_it_is_only_compared():
    box = (100, 80, 40, 120)
    learned, compared = _learned(), _learned()
    for i in range(100):
        learned.learn(_scene([box], seed=1), 0.4 + i / 5)
        compared.compare(_scene([box], seed=1))
    assert learned.share(box) == 0.0 and compared.share(box) > 0.8


def test_a_cut_is_a_new_scene_and_a_moving_camera_changes_everywhere():
    motion = _learned()
    motion.learn(_scene(shift=80.0), 0.5)
    assert motion.share((0, 0, 640, 360)) == 0.0
    for i in range(4):  # every frame another view
        motion.learn(_scene(shift=100.0 * (i % 2)), 0.54 + i / FPS)
    assert motion.share((100, 100, 50, 50)) == 1.0 and motion.place() is None
    motion.learn(_scene(shift=100.0), 5.0)
    motion.learn(_scene(shift=100.0), 5.1)
    assert motion.share((100, 100, 50, 50)) == 0.0


def test_a_picture_of_another_size_begins_anew():
    motion = _learned()
    motion.learn(np.zeros((100, 100, 3), np.uint8), 1.0)
    assert motion.place() is None
    motion.learn(np.zeros((1, 1, 3), np.uint8), 2.0)
    assert motion.share((0, 0, 1, 1)) == 0.0


class _Naive:
    """Takes the brightest box in the crop for a person, always with the same middling score."""

    metadata = Metadata(CORNERS, GaussianHeatmap((64, 64), (16, 16), 4.0), threshold=0.3)

    def __call__(self, image, box=None):
        x, y, w, h = box
        left, top = max(int(x), 0), max(int(y), 0)
        part = image[top : int(y + h), left : int(x + w), 0]
        rows, columns = np.nonzero(part > 190)
        if len(rows) < 200:
            return Pose(np.tile([x + w / 2, y + h / 2], (4, 1)), np.zeros(4), box)
        x0, x1 = np.percentile(columns, [1, 99]) + left
        y0, y1 = np.percentile(rows, [1, 99]) + top
        return Pose([[x0, y0], [x1, y0], [x0, y1], [x1, y1]], np.full(4, 0.45), box)


def test_a_coat_on_a_hook_is_not_shown_but_who_walks_in_is():
    coat, tracker = (500, 100, 50, 140), PoseTracker(_Naive())
    for i in range(50):
        assert tracker.update(_scene([coat], seed=i), i / FPS) is None
    shown = []
    for i in range(60):
        person = (2 + 5 * i, 150, 50, 150)
        pose = tracker.update(_scene([coat, person], seed=i), 2 + i / FPS)
        if pose is not None:
            shown.append(np.abs(pose.keypoints[0] - person[:2]).max() < 25)
    assert len(shown) > 50 and np.mean(shown) > 0.95
    for i in range(15):
        pose = tracker.update(_scene([coat], seed=i), 4.4 + i / FPS)
    assert pose is None


def test_a_person_who_becomes_a_coat_is_given_up():
    # as when the crop slides from a person who leaves to something that was always there
    coat, tracker = (300, 100, 50, 140), PoseTracker(_Naive())
    for i in range(20):
        tracker.update(_scene([coat], seed=i), i / FPS)
    for i in range(20):
        person = (290 - 12 * max(i - 10, 0), 95, 70, 160)
        pose = tracker.update(_scene([coat, person], seed=i), 0.8 + i / FPS)
    gone = [tracker.update(_scene([coat], seed=i), 1.6 + i / FPS) for i in range(30)]
    assert pose is not None and all(p is None for p in gone[-10:])
