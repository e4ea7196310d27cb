"""Articulated figures: a data set without a download, rendered as it is read.

A picture is a pure function of its seed. `render` makes whole pictures with exact key points;
`Appearance`, `pose_at`, `paint` and `background` are its pieces, for scenes of one's own:

    person = Appearance.from_seed(3)
    frame = background(np.random.default_rng(0), (720, 1280))
    keypoints = paint(frame, person, pose_at(phase=0.3), centre=(400, 420), height=300)

Key points are LSP14 in pixels, (K, 2) float32 with K = 14, right and left as the person means
them: who faces the camera has the right shoulder at the picture's left. As in LSP, hidden joints
are annotated too.
"""

from dataclasses import dataclass

import numpy as np

from keras_pose.data.figure_body import Body, Placed, forward
from keras_pose.data.figure_look import Look
from keras_pose.data.figure_paint import draw_placed
from keras_pose.data.figure_pose import Pose, draw_pose, pose_at
from keras_pose.data.figure_scene import background, occluder, photograph, seat, shadow

__all__ = ["Appearance", "Pose", "background", "draw_pose", "paint", "place", "pose_at", "render"]

SIZE = (256, 320)
# Every part of a picture has its own stream, so that each can be made without the others.
_GEOMETRY, _LOOK, _SCENE, _CAMERA = range(4)


def _stream(seed, part):
    return np.random.default_rng([part, int(seed)])


@dataclass(frozen=True)
class Appearance:
    """One person: proportions and clothes, the same in every pose."""

    body: Body
    look: Look

    @classmethod
    def from_seed(cls, seed: int) -> "Appearance":
        """A random person; the one that `render(seed)` shows."""
        return cls(Body.draw(_stream(seed, _GEOMETRY)), Look.draw(_stream(seed, _LOOK)))


def paint(image, appearance: Appearance, pose: Pose, centre, height: float, shade: float = 0.35):
    """Paints a person onto an RGB picture (H, W, 3) uint8, in place.

    centre: (x, y) of the pelvis, about the middle of someone who stands; height: pixels from the
    soles to the top of the head when standing; shade: 0..1 darkness of the shadow on the ground.
    Parts outside the picture are cut off. Returns (K, 2) float32 key points, also of those parts.
    """
    placed = Placed(forward(appearance.body, pose), tuple(centre), float(height))
    _ground(image, placed, shade)
    draw_placed(image, placed, appearance.look)
    return placed.keypoints


def place(seed: int, size=SIZE) -> Placed:
    """The body of picture `seed`, posed and placed, without drawing it (about 0.2 ms).

    The person fills half to 0.8 of the height of the picture (H, W), less if too wide for it, and
    rarely stands in the middle, so that most pictures have free background at one side.
    """
    rng = _stream(seed, _GEOMETRY)
    body, pose = Body.draw(rng), draw_pose(rng)
    share, distance, across, down = rng.random(4)
    posed, distance = forward(body, pose), 2.5 + 7.0 * distance
    pixels, zoom = Placed(posed, (0.0, 0.0), 1.0, distance).project(posed.points)
    reach = 0.06 * zoom[:, None]
    low, high = (pixels[:, :2] - reach).min(axis=0), (pixels[:, :2] + reach).max(axis=0)
    (wide, tall), (rows, columns) = high - low, size
    height = min((0.5 + 0.3 * share) * rows / tall, 0.88 * columns / wide)
    # a curve that prefers both ends of the free space to its middle
    across = 0.5 + 0.5 * np.sign(across - 0.5) * abs(2.0 * across - 1.0) ** 0.6
    free = np.array([columns - 1.0, rows - 1.0]) - height * (high - low)
    centre = free * (across, down) - height * low
    return Placed(posed, tuple(centre.tolist()), height, distance)


def render(seed: int, size=SIZE, person: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """A picture of one person: (H, W, 3) uint8 RGB and (K, 2) float32 key points in pixels.

    seed: not negative; person: False leaves the person out and keeps everything else the same.
    """
    placed, scene = place(seed, size), _stream(seed, _SCENE)
    image = background(scene, size)
    rest, hide, shade = scene.random((3, 2))
    pixels = placed.project(placed.posed.points)[0]
    if placed.posed.pose.seated and rest[0] < 0.7:
        top = pixels[0, :2] + (0.0, 0.07 * placed.height)
        seat(image, scene, top, 0.28 * placed.height, pixels[-4:, 1].max())
    if person:
        _ground(image, placed, 0.5 * shade[0])
        draw_placed(image, placed, Look.draw(_stream(seed, _LOOK)))
    if hide[0] < 0.12:
        spot = pixels[int(hide[1] * len(pixels)), :2] + scene.normal(0.0, 0.1 * placed.height, 2)
        occluder(image, scene, spot, 0.6 * placed.height)
    return photograph(image, _stream(seed, _CAMERA)), placed.keypoints


def _ground(image, placed, strength):
    """A shadow under whoever is on the ground, upright."""
    pixels = placed.project(placed.posed.points)[0]
    if abs(placed.posed.pose.view[3]) > 25.0:
        return
    feet = pixels[-6:]
    low = feet[feet[:, 1].argmax()]
    x = 0.5 * (feet[:, 0].mean() + low[0])
    shadow(image, (x, low[1]), (0.3 * placed.height, 0.06 * placed.height), strength)
