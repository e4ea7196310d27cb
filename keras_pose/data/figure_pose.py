"""Poses of a human figure as joint angles: the limits of each joint, and ways to draw a pose.

Angles are degrees in each joint's own frame, with every limb hanging down as zero. A joint turns by
flexion (limbs forward, trunk and head bowing, knee back, toes down), then abduction (away from
the middle line; for trunk and head: towards the person's right), then twist about its own bone
(outwards; for trunk and head: towards the person's left). Both sides of the body use the same
signs, so that swapping a right and a left row mirrors a pose.
"""

from dataclasses import dataclass

import numpy as np

SPINE = ("spine", "chest", "neck", "head")
LIMBS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
JOINTS = SPINE + tuple(f"{side}_{name}" for name in LIMBS for side in ("right", "left"))

# Flexion, abduction and twist that healthy joints reach, rounded from clinical tables.
_RANGES = {
    "spine": ((-20, 55), (-20, 20), (-25, 25)),
    "chest": ((-15, 35), (-15, 15), (-25, 25)),
    "neck": ((-25, 30), (-20, 20), (-35, 35)),
    "head": ((-20, 20), (-15, 15), (-40, 40)),
    "shoulder": ((-50, 175), (-20, 170), (-70, 85)),
    "elbow": ((0, 145), (0, 0), (0, 0)),
    "wrist": ((-50, 50), (-20, 20), (0, 0)),
    "hip": ((-25, 125), (-20, 60), (-35, 45)),
    "knee": ((0, 145), (0, 0), (0, 0)),
    "ankle": ((-25, 45), (0, 0), (-10, 15)),
}
LIMITS = np.array([_RANGES[name.split("_")[-1]] for name in JOINTS], np.float64)  # (J, 3, 2)

# What a joint does when a style has nothing to say about it.
_RELAXED = {
    "spine": ((-5, 10), (-6, 6), (-8, 8)),
    "chest": ((-5, 10), (-5, 5), (-8, 8)),
    "neck": ((-8, 15), (-8, 8), (-20, 20)),
    "head": ((-8, 12), (-6, 6), (-25, 25)),
    "shoulder": ((-10, 20), (5, 20), (-15, 20)),
    "elbow": ((5, 35), (0, 0), (0, 0)),
    "wrist": ((-10, 20), (-8, 8), (0, 0)),
    "hip": ((-6, 10), (1, 10), (0, 15)),
    "knee": ((0, 12), (0, 0), (0, 0)),
    "ankle": ((-5, 8), (0, 0), (0, 10)),
}


@dataclass(frozen=True)
class Pose:
    """angles: (J, 3) degrees in the order of JOINTS; view: degrees the whole body is turned by.

    view = (yaw, tilt, pitch, roll): yaw 0 faces the camera, 90 the picture's right, 180 shows
    the back; tilt bows the pelvis forward; pitch is how far the camera looks down on the person;
    roll turns the picture clockwise. seated: the person needs something to sit on.
    """

    angles: np.ndarray
    view: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    seated: bool = False

    def mirrored(self) -> "Pose":
        """The same pose seen in a mirror that stands beside the person."""
        angles = self.angles.copy()
        angles[len(SPINE) :] = angles[len(SPINE) :].reshape(-1, 2, 3)[:, ::-1].reshape(-1, 3)
        angles[: len(SPINE), 1:] *= -1.0
        yaw, tilt, pitch, roll = self.view
        return Pose(angles, (-yaw, tilt, pitch, -roll), self.seated)


@dataclass(frozen=True)
class _Style:
    weight: float
    low: np.ndarray
    high: np.ndarray
    tilt: tuple[float, float]
    seated: bool


def _style(weight, tilt=(-4, 6), seated=False, **said):
    """Ranges of one style. Keys: a joint ("knee") or one side of it ("a_knee", "b_knee")."""
    rows = []
    for joint in JOINTS:
        side, _, name = joint.rpartition("_")
        ranges = list(_RELAXED[name])
        for key in (name, f"{'a' if side == 'right' else 'b'}_{name}"):
            for axis, limits in enumerate(said.get(key, ())):
                ranges[axis] = limits or ranges[axis]
        rows.append(ranges)
    table = np.array(rows, np.float64)
    return _Style(weight, table[..., 0], table[..., 1], tilt, seated)


# A style leans to one side ("a"); half of all poses drawn from it are mirrored.
STYLES = {
    "stand": _style(1.4),
    "akimbo": _style(0.5, shoulder=((-30, -10), (35, 50), (-60, -40)), elbow=((80, 110),)),
    "talk": _style(1.2, shoulder=((0, 60), (5, 40), (-45, 30)), elbow=((30, 115),)),
    "contrapposto": _style(
        0.6, a_hip=((0, 25), (5, 25), (5, 30)), a_knee=((5, 40),), a_shoulder=((-20, 60), (5, 60))
    ),
    "walk": _style(
        1.6,
        a_hip=((10, 35),), a_knee=((0, 25),), b_hip=((-22, 0),), b_knee=((5, 50),),
        a_shoulder=((-35, 0),), b_shoulder=((5, 40),), elbow=((5, 50),),
    ),
    "run": _style(
        1.5, tilt=(5, 18),
        a_hip=((35, 90),), a_knee=((30, 110),), b_hip=((-25, 15),), b_knee=((5, 110),),
        a_shoulder=((-50, -10), (5, 30)), b_shoulder=((10, 60), (0, 25)), elbow=((60, 120),),
        ankle=((-10, 35),), spine=((0, 12), (-6, 6), (-18, 5)), chest=((0, 10), (-5, 5), (-18, 5)),
    ),
    "sit": _style(
        1.3, tilt=(-15, 10), seated=True,
        hip=((75, 105), (0, 25), (-5, 15)), knee=((60, 110),), spine=((0, 25),),
        shoulder=((5, 50), (0, 25), (-35, 15)), elbow=((20, 100),),
    ),
    "cheer": _style(0.9, shoulder=((-10, 30), (100, 165), (-10, 70)), elbow=((5, 90),)),
    "reach": _style(0.8, shoulder=((80, 172), (0, 30), (-20, 40)), elbow=((0, 60),)),
    "wave": _style(0.7, a_shoulder=((0, 40), (70, 150), (30, 80)), a_elbow=((20, 110),)),
    "star": _style(
        0.7, shoulder=((-15, 25), (60, 120), (-20, 60)), hip=((-5, 10), (12, 42), (5, 30))
    ),
    "kick": _style(
        0.9, tilt=(-20, 5),
        a_hip=((40, 110), (0, 30), (-10, 30)), a_knee=((0, 60),), b_knee=((5, 35),),
        shoulder=((-30, 60), (20, 90), (-20, 40)), elbow=((10, 80),), a_ankle=((0, 40),),
    ),
    "throw": _style(
        1.1, tilt=(0, 15),
        a_shoulder=((-30, 20), (70, 120), (30, 85)), a_elbow=((50, 120),),
        b_shoulder=((30, 100), (10, 70), (-20, 20)), b_elbow=((5, 70),),
        b_hip=((10, 60), (5, 25)), b_knee=((5, 70),), a_hip=((-20, 10), (5, 25)),
        a_knee=((5, 50),), spine=((-10, 15), (-15, 10), (-20, 20)),
        chest=((-8, 12), (-8, 8), (-20, 20)),
    ),
    "swing": _style(
        0.8, tilt=(5, 30),
        shoulder=((40, 95), (-18, 15), (-30, 10)), elbow=((5, 60),), knee=((10, 45),),
        hip=((5, 35), (8, 30)), spine=((0, 25), (-15, 15), (-25, 25)),
        chest=((0, 15), (-10, 10), (-25, 25)),
    ),
    "lunge": _style(
        0.9, tilt=(-5, 20),
        a_hip=((55, 100), (0, 20)), a_knee=((50, 105),), b_hip=((-25, 5), (0, 20)),
        b_knee=((10, 90),), shoulder=((-30, 80), (5, 70)), elbow=((5, 100),),
    ),
    "squat": _style(
        0.8, tilt=(10, 40),
        hip=((75, 120), (5, 35), (0, 30)), knee=((70, 140),), ankle=((-25, 0),),
        shoulder=((10, 100), (0, 40), (-20, 20)), elbow=((5, 100),),
    ),
    "bend": _style(
        0.7, tilt=(25, 65),
        hip=((25, 80), (2, 20)), knee=((0, 40),), spine=((5, 50),), chest=((0, 30),),
        shoulder=((20, 110), (0, 40)), elbow=((0, 70),),
    ),
    "jump": _style(
        0.8, tilt=(-10, 20),
        a_hip=((-10, 80), (0, 30)), b_hip=((-20, 60), (0, 30)), a_knee=((10, 110),),
        b_knee=((10, 110),), ankle=((10, 42),), shoulder=((-20, 120), (15, 130), (-10, 50)),
        elbow=((5, 90),),
    ),
    "dance": _style(
        1.0, tilt=(-12, 20),
        a_hip=((-20, 90), (5, 50), (0, 40)), a_knee=((0, 100),), b_hip=((-15, 25), (0, 25)),
        b_knee=((0, 40),), shoulder=((-30, 110), (10, 140), (-20, 60)), elbow=((0, 110),),
        spine=((-15, 25), (-18, 18), (-20, 20)), chest=((-10, 15), (-12, 12), (-20, 20)),
    ),
    "kneel": _style(
        0.5, a_hip=((70, 100), (0, 25)), a_knee=((80, 105),), b_hip=((-10, 15),),
        b_knee=((80, 110),), b_ankle=((10, 45),), shoulder=((0, 70), (0, 30)), elbow=((20, 110),),
    ),
}  # fmt: skip
_CHOICES = tuple(STYLES.values())
_CUMULATED = np.cumsum([s.weight for s in _CHOICES]) / sum(s.weight for s in _CHOICES)


def draw_pose(rng: np.random.Generator) -> Pose:
    """A random pose inside LIMITS, seen from anywhere around: front, sides and back.

    One in fourteen lies on a side or hangs at a steep angle; the camera looks from chest height
    or a little above.
    """
    draws = rng.random((len(JOINTS) + 3, 3))
    choice, side, frontal = draws[-1]
    style = _CHOICES[min(int(np.searchsorted(_CUMULATED, choice)), len(_CHOICES) - 1)]
    angles = style.low + (style.high - style.low) * draws[: len(JOINTS)]
    turn, tilt, steep = draws[-2]
    normal = rng.standard_normal(3)
    yaw = 35.0 * normal[0] if frontal < 0.35 else 360.0 * turn
    roll = 6.0 * normal[1]
    if steep < 0.07:
        roll = (1 if steep < 0.035 else -1) * (30.0 + 80.0 * draws[-3, 0])
    pitch = float(np.clip(6.0 + 8.0 * normal[2], -12.0, 30.0))
    tilt = style.tilt[0] + (style.tilt[1] - style.tilt[0]) * tilt
    pose = Pose(angles, (yaw, tilt, pitch, roll), style.seated)
    return pose.mirrored() if side < 0.5 else pose


def pose_at(phase: float, yaw: float = 90.0, stride: float = 1.0) -> Pose:
    """One moment of a walking gait; the pose after a whole phase is the same again.

    phase: in strides (two steps), 0 with the right heel in front; yaw: degrees, 90 walks
    towards the picture's right, -90 towards its left; stride: 1 for an ordinary walk, 0 stands.
    """
    angles = np.zeros(LIMITS.shape[:2])
    sway = np.sin(2 * np.pi * phase)

    def put(joint, flexion, abduction=0.0, twist=0.0):
        angles[JOINTS.index(joint)] = flexion, abduction, twist

    for side, shift in (("right", 0.0), ("left", 0.5)):
        turn = 2 * np.pi * (phase + shift)
        swing = np.cos(turn)
        # the knee bends once under load and much further while the leg swings forward
        bend = 6.0 + 12.0 * max(0.0, np.sin(turn)) ** 2 + 52.0 * max(0.0, -np.sin(turn - 0.3)) ** 2
        put(f"{side}_hip", stride * (5.0 + 24.0 * swing), 2.0, 6.0)
        put(f"{side}_knee", stride * bend)
        put(f"{side}_ankle", stride * 10.0 * -np.sin(turn))
        put(f"{side}_shoulder", -stride * 26.0 * swing, 6.0)
        put(f"{side}_elbow", 12.0 + stride * 14.0 * (1.0 - swing))
    put("spine", 2.0, 0.0, 5.0 * stride * np.cos(2 * np.pi * phase))
    put("chest", 2.0, 2.0 * stride * sway, 5.0 * stride * np.cos(2 * np.pi * phase))
    return Pose(angles, (yaw, 3.0 * stride, 0.0, 0.0))
