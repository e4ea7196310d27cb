"""What a network that refines poses is scored on: drawn errors, or another estimator's results.

Poses are (N, K, 3), x and y in pixels of the persons' pictures and the score, as
runtime.PoseRefiner takes them; a key point that a pose lacks is 0, 0, 0.

Symbols: N persons, K key points.
"""

import dataclasses

import numpy as np

from keras_pose import geometry
from keras_pose.data.pose_error_inputs import generators
from keras_pose.data.pose_scene import Scene, input_poses
from keras_pose.errors import PoseError
from keras_pose.metadata import GROWN
from keras_pose.runtime.refiner import around, known
from keras_pose.training.looking import Refining

_SEED = 0  # always the same poses, so that epochs, networks and formats compare


@dataclasses.dataclass(frozen=True)
class Given:
    """Poses to refine. name: what they are; poses: (N, K, 3); places: N things to look at, whose
    boxes are those of the crops, see looking.look; persons: N, those of them that they were
    made for."""

    name: str
    poses: np.ndarray
    places: tuple
    persons: tuple

    @property
    def unposed(self) -> int:
        """How many poses have no key point."""
        return int((~known(self.poses).any(axis=1)).sum())

    def of(self, persons):
        """(n, K, 2) what was given for some of the persons, NaN where there is nothing."""
        rows = {id(person): n for n, person in enumerate(self.persons)}
        poses = self.poses[[rows[id(person)] for person in persons]]
        return np.where(known(poses)[..., None], poses[..., :2], np.nan)


def drawn(persons, skeleton, input_size, crop_margin) -> Given:
    """Errors drawn for persons as for training (data.pose_errors), each in its annotated crop."""
    poses = np.zeros((len(persons), skeleton.count, 3), np.float32)
    for n, (person, rng) in enumerate(
        zip(persons, generators(_SEED, 0, range(len(persons))), strict=True)
    ):
        box = geometry.crop_box(person.box, input_size, crop_margin)
        scene = Scene.of_crop(person, box, input_size)
        pose = input_poses([scene], skeleton, [rng], input_size)[0]
        back = geometry.invert(geometry.box_to_size(box, input_size))
        points = geometry.apply(back, geometry.denormalise(pose[:, :2], input_size))
        poses[n, :, :2] = np.where(pose[:, 2:] > 0, points, 0.0)
        poses[n, :, 2] = pose[:, 2]
    return Given(f"drawn, seed {_SEED}", poses, tuple(persons), tuple(persons))


def answers(poses, persons, name="given", grown=GROWN) -> Given:
    """An estimator's poses (N, K, 3) of N persons, each in a crop around itself, as a runtime would
    look at it; persons without one are looked at in their annotated crops. name: of the poses;
    grown: see metadata.Metadata."""
    there = known(poses)
    poses = np.where(there[..., None], np.nan_to_num(poses), 0.0).astype(np.float32)
    places = [
        dataclasses.replace(person, box=around(pose[seen, :2], grown)) if seen.any() else person
        for person, pose, seen in zip(persons, poses, there, strict=True)
    ]
    return Given(name, poses, tuple(places), tuple(persons))


def grown(persons) -> float:
    """How many times as long as the extent of their key points the sides of persons' boxes are: the
    median of those with three quarters of their key points annotated, GROWN where nobody has.

    So a crop around a pose shows what the crops of training did. COCO's boxes are drawn around the
    whole person; LSP has none, and the key points' extent is the box.
    """
    ratios = []
    for person in persons:
        seen = np.asarray(person.visible) > 0
        if seen.mean() >= 0.75:
            sides = geometry.extent(person.keypoints, seen)[2:]
            if sides.min() > 0:
                ratios.append(np.sqrt(np.prod(person.box[2:]) / np.prod(sides)))
    return round(float(np.median(ratios)), 3) if ratios else GROWN


def every(poses, reader) -> np.ndarray:
    """Poses of all of a reader's persons, checked. Raises PoseError for another shape."""
    poses, expected = np.asarray(poses), (len(reader), reader.skeleton.count, 3)
    if poses.shape != expected:
        raise PoseError(
            f"poses of shape {expected}: x, y and score of every person's key points",
            f"{poses.shape}",
            "Write 0, 0, 0 where there is none.",
        )
    return poses


def refuse(predict, poses):
    """Raises PoseError for poses beside a predictor that looks at the picture alone."""
    if poses is not None and not isinstance(predict, Refining):
        raise PoseError(
            "a network that refines poses, to be given some",
            "one that looks at the picture alone",
            "Leave the poses out.",
        )
