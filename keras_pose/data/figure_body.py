"""A human body in three dimensions: proportions, forward kinematics and projection.

Lengths are parts of the person's stature. The camera's frame is x to the picture's right, y up,
z towards the viewer. A body that faces the camera (yaw 0) has its left side at +x, so its right
shoulder appears at the picture's left.

Symbols: P body points (POINTS), K = 14 key points in the order of skeletons.LSP14.
"""

from dataclasses import dataclass

import numpy as np

from keras_pose.data.figure_pose import JOINTS, LIMITS, Pose
from keras_pose.skeletons import LSP14

_PAIRED = ("shoulder", "elbow", "wrist", "hand", "hip", "knee", "ankle", "heel", "toe")
POINTS = ("pelvis", "waist", "chest", "neck", "skull", "head_top") + tuple(
    f"{side}_{name}" for name in _PAIRED for side in ("right", "left")
)
INDEX = {name: i for i, name in enumerate(POINTS)}
KEYPOINTS = np.array([INDEX[name] for name in LSP14.keypoints])


@dataclass(frozen=True)
class Body:
    """Lengths in statures, `girth` as a factor on an average build (0.75 slim, 1.4 broad)."""

    head: float = 0.130
    neck: float = 0.045
    trunk: float = 0.300
    thigh: float = 0.245
    shank: float = 0.240
    foot: float = 0.150
    upper_arm: float = 0.172
    forearm: float = 0.148
    hand: float = 0.070
    shoulders: float = 0.105
    hips: float = 0.058
    girth: float = 1.0
    belly: float = 1.0

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Body":
        """Random proportions: two in ten are children, builds run from slim to broad."""
        draw = rng.random(14)
        child = max(0.0, draw[0] - 0.8) / 0.2
        vary = 0.93 + 0.14 * draw
        head = (0.130 + 0.055 * child) * vary[1]
        neck = (0.045 - 0.012 * child) * vary[2]
        ankle = 0.040
        leg = (0.485 - 0.060 * child) * (0.965 + 0.07 * draw[3])
        thigh = leg * (0.49 + 0.03 * draw[4])
        girth = float(np.exp(0.16 * rng.standard_normal()).clip(0.75, 1.45)) * (1 + 0.1 * child)
        return cls(
            head=head,
            neck=neck,
            trunk=1.0 - head - neck - ankle - leg,
            thigh=thigh,
            shank=leg - thigh,
            foot=0.150 * vary[5],
            upper_arm=(0.172 - 0.015 * child) * vary[6],
            forearm=(0.148 - 0.015 * child) * vary[7],
            hand=0.070 * vary[8],
            shoulders=0.104 * (0.88 + 0.24 * draw[9]) * girth**0.25,
            hips=0.057 * (0.90 + 0.24 * draw[10]) * girth**0.2,
            girth=girth,
            belly=1.0 + max(0.0, girth - 1.0) * draw[11] + 0.15 * child,
        )


@dataclass(frozen=True)
class Posed:
    """points: (P, 3) statures about the pelvis; frames: (4, 3, 3) pelvis, waist, chest, head.

    A frame's columns are the directions of the person's left, up and forward.
    """

    points: np.ndarray
    frames: np.ndarray
    body: Body
    pose: Pose


def _turns(angles):
    """Rotation matrices (N, 3, 3) of flexions, abductions and twists (N, 3) in radians.

    X(flexion) Z(abduction) Y(twist), multiplied out, because this runs for every sample.
    """
    (cf, ca, ct), (sf, sa, st) = np.cos(angles).T, np.sin(angles).T
    turns = np.empty((len(angles), 3, 3))
    turns[:, 0] = np.stack([ca * ct, -sa, ca * st], axis=1)
    turns[:, 1] = np.stack([cf * sa * ct + sf * st, cf * ca, cf * sa * st - sf * ct], axis=1)
    turns[:, 2] = np.stack([sf * sa * ct - cf * st, sf * ca, sf * sa * st + cf * ct], axis=1)
    return turns


def _signs():
    """Turns the anatomical signs of figure_pose into rotations about x, z and y."""
    signs = np.ones((len(JOINTS), 3))
    for row, name in zip(signs, JOINTS, strict=True):
        if name.endswith(("shoulder", "elbow", "wrist", "hip")):
            row[0] = -1.0
        if name.startswith("right"):
            row[1:] = -1.0
    return np.deg2rad(signs)


_SIGNS = _signs()
_SIDES = np.array([-1.0, 1.0])  # right, left


def view_matrix(view) -> np.ndarray:
    """(3, 3) rotation of the whole body for `Pose.view`."""
    yaw, tilt, pitch, roll = np.deg2rad(view)
    bowed, turned, looked, rolled = _turns(
        np.array([(tilt, 0, 0), (0, 0, yaw), (pitch, 0, 0), (0, -roll, 0)])
    )
    return rolled @ looked @ turned @ bowed


def forward(body: Body, pose: Pose) -> Posed:
    """Where every point of `body` is in `pose`. Angles outside LIMITS are held at the limit."""
    angles = np.clip(pose.angles, LIMITS[..., 0], LIMITS[..., 1]) * _SIGNS
    turns = _turns(angles)
    pelvis = view_matrix(pose.view)
    waist = pelvis @ turns[0]
    chest = waist @ turns[1]
    neck = chest @ turns[2]
    head = neck @ turns[3]

    points = np.zeros((len(POINTS), 3))
    points[1] = 0.32 * body.trunk * pelvis[:, 1]
    points[2] = points[1] + 0.30 * body.trunk * waist[:, 1]
    points[3] = points[2] + 0.38 * body.trunk * chest[:, 1]
    points[4] = points[3] + body.neck * neck[:, 1] + 0.012 * neck[:, 2]
    points[5] = points[4] + body.head * head[:, 1]

    shoulder = chest @ turns[4:6]
    elbow = shoulder @ turns[6:8]
    wrist = elbow @ turns[8:10]
    # raising an arm lifts the shoulder with it, by at most 3 % of the stature
    lift = 0.03 * np.clip(0.5 - 0.6 * (chest[:, 1] @ shoulder[:, :, 1].T), 0.0, 1.0)
    across = (_SIDES * (body.shoulders - 0.3 * lift))[:, None] * chest[:, 0]
    up = (0.30 * body.trunk + lift)[:, None] * chest[:, 1]
    start = points[2] + across + up
    points[6:8] = start
    points[8:10] = start = start - body.upper_arm * shoulder[:, :, 1]
    points[10:12] = start = start - body.forearm * elbow[:, :, 1]
    points[12:14] = start - body.hand * wrist[:, :, 1]

    hip = pelvis @ turns[10:12]
    knee = hip @ turns[12:14]
    ankle = knee @ turns[14:16]
    points[14:16] = start = (_SIDES * body.hips)[:, None] * pelvis[:, 0]
    points[16:18] = start = start - body.thigh * hip[:, :, 1]
    points[18:20] = start = start - body.shank * knee[:, :, 1]
    sole = start - 0.026 * ankle[:, :, 1]
    points[20:22] = sole - 0.2 * body.foot * ankle[:, :, 2]
    points[22:24] = sole + 0.65 * body.foot * ankle[:, :, 2]
    return Posed(points, np.stack([pelvis, waist, chest, head]), body, pose)


@dataclass(frozen=True)
class Placed:
    """A posed body on a picture, its pelvis at `centre` (x, y).

    height: pixels of the stature at the pelvis's depth; distance: statures between the camera and
    the pelvis, small values foreshorten strongly.
    """

    posed: Posed
    centre: tuple[float, float]
    height: float
    distance: float = 6.0

    def project(self, points) -> tuple[np.ndarray, np.ndarray]:
        """Points (N, 3) in statures to (N, 3) pixels and (N,) pixels per stature at each point.

        The pixels are x to the right, y down, and z towards the viewer.
        """
        zoom = self.height * self.distance / (self.distance - points[:, 2])
        pixels = points * zoom[:, None]
        pixels[:, 0] += self.centre[0]
        pixels[:, 1] = self.centre[1] - pixels[:, 1]
        return pixels, zoom

    @property
    def keypoints(self) -> np.ndarray:
        """(K, 2) float32 pixels in the order of LSP14."""
        return self.project(self.posed.points[KEYPOINTS])[0][:, :2].astype(np.float32)
