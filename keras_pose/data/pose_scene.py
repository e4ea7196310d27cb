"""A person and who is beside, as an input pose is drawn from them; and the draw, for networks.

Symbols: B persons, K key points, P other persons, H x W the network's input.
"""

import dataclasses

import numpy as np

from keras_pose import geometry
from keras_pose.data.pose_error_inputs import box_area, near
from keras_pose.data.pose_error_rates import chances, scaled
from keras_pose.data.pose_errors import synthesise


@dataclasses.dataclass(frozen=True)
class Scene:
    """What one person's input pose is drawn from, in pixels of the network's input.

    truth: (K, 2). visible: (K,) which of them are annotated, and inside the input. area: of the
    person's box, square pixels. others: (P, K, 3) x, y and visible, inside the input, of the other
    persons. near: how many of them overlap, see pose_error_inputs.near. stand_in: (K, 3) x, y and
    valid, inside the input, of a guess at what is not annotated.
    """

    truth: np.ndarray
    visible: np.ndarray
    area: float
    others: np.ndarray
    near: int
    stand_in: np.ndarray

    @classmethod
    def empty(cls, joints):
        """Of a crop without anyone: nothing can be drawn from it."""
        nothing, nobody = np.zeros((joints, 3)), np.zeros((0, joints, 3))
        return cls(nothing[:, :2], np.zeros(joints, bool), 1.0, nobody, 0, nothing)

    @classmethod
    def seen(cls, sample, scale, truth, visible, others, size, stand_in=None):
        """Of a sample that is looked at `scale` times as large as in its picture.

        truth: (K, 2); visible: (K,) annotated; others: (P, K, 3); stand_in: (K, 3) or None; all in
        pixels of the input, with sides swapped in a mirror image. size: (H, W); what lies beyond
        does not count.
        """
        guess = np.zeros((len(truth), 3)) if stand_in is None else stand_in
        own = np.column_stack([truth, visible])
        everybody = np.concatenate([own[None], guess[None], others])
        places = geometry.normalise(everybody[..., :2], size)
        everybody[..., 2] *= ((places >= 0) & (places < 1)).all(axis=-1)
        beside = everybody[2:]
        beside = beside[(beside[..., 2] > 0).any(axis=1)]
        area = box_area(sample) * scale**2
        return cls(truth, everybody[0, :, 2] > 0, area, beside, near(sample), everybody[1])

    @classmethod
    def of_crop(cls, sample, box, size):
        """Of a sample's plain crop. box: (x, y, w, h) of the picture, with the aspect of size, the
        (H, W) that it is shown at."""
        matrix, others = geometry.box_to_size(box, size), np.array(sample.others)
        others = others.reshape(-1, len(sample.keypoints), 3)
        others[..., :2] = geometry.apply(matrix, others[..., :2])
        truth = geometry.apply(matrix, sample.keypoints)
        return cls.seen(sample, size[0] / box[3], truth, sample.visible, others, size)


def stacked(scenes):
    """What `synthesise` takes of B scenes, by name, and near (B,)."""
    room = np.zeros((len(scenes), max(len(s.others) for s in scenes), *scenes[0].others.shape[1:]))
    for row, scene in zip(room, scenes, strict=True):
        row[: len(scene.others)] = scene.others
    names = ("truth", "visible", "area", "stand_in")
    given = {name: np.stack([getattr(s, name) for s in scenes]) for name in names}
    return {**given, "others": room}, np.array([s.near for s in scenes])


def input_poses(scenes, skeleton, rngs, size, intact=0.0, errors=()):
    """Input poses as a network reads them: (B, K, 3) float32, x and y normalised in the input of
    (H, W), and 1 or 0, whether there is one; x and y are 0 where there is none.

    scenes: of B persons; rngs: B generators, see pose_error_inputs.generators. intact: the chance
    that a person's pose is the truth, or the stand-in, as it is, not the paper's. Even a good key
    point is drawn up to d(.85) away from it, so without some that are exact nothing teaches to
    leave those alone.
    errors: kinds that are more or less likely than the paper's, see pose_error_rates.scaled.
    """
    kept = np.array([intact > 0 and rng.random() < intact for rng in rngs])
    given, company = stacked(scenes)
    visible, guess = given["visible"], given["stand_in"]
    table = scaled(chances(skeleton, visible.sum(axis=1), company), errors)
    points, valid, _ = synthesise(**given, chances=table, skeleton=skeleton, rngs=rngs)
    true = np.where(visible[..., None], given["truth"], guess[..., :2])
    points = np.where(kept[:, None, None], true, points)
    valid = np.where(kept[:, None], visible | (guess[..., 2] > 0), valid)
    points = np.where(valid[..., None], geometry.normalise(points, size), 0.0)
    return np.concatenate([points, valid[..., None]], axis=-1).astype(np.float32)
