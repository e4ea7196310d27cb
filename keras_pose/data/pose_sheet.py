"""A sheet of the input poses that a refiner learns from: ground truth beside each kind of error.

Symbols: N persons, K key points.
"""

import itertools

import cv2
import numpy as np

from keras_pose import geometry
from keras_pose.data.pose_error_inputs import generators
from keras_pose.data.pose_error_rates import chances, scaled
from keras_pose.data.pose_errors import synthesise
from keras_pose.data.pose_scene import Scene, stacked
from keras_pose.data.sheet import enlarged
from keras_pose.errors import PoseError
from keras_pose.metrics.diagnosis import CLASSES
from keras_pose.results import Pose
from keras_pose.runtime.crop import cut
from keras_pose.runtime.drawing import caption, contact_sheet, draw

COLORS = ((42, 157, 111), (242, 207, 91), (123, 94, 167), (63, 127, 191), (196, 69, 54))
_TRUTH = (255, 255, 0)  # of the circles around true key points, as in the paper's figure 3
_WAY = (255, 255, 255)


def sheet(reader, input_size, order, count=6, seed=0, epoch=0, crop_margin=1.25, errors=()):
    """One row a person: the truth, a draw as training gets it, and all key points of each kind.

    reader: of labelled pictures; input_size: (H, W) of the crops, which are not augmented; order:
    indices of samples, of which the first `count` with a readable picture are shown. A white line
    leads from the true key point, a yellow circle, to where it was put, a dot in the colour of its
    kind. Key points for which a kind has no candidate are left out: nobody else, nobody to swap
    with. errors: how likely the kinds are in the draw, see pose_error_rates.scaled. Returns
    (H, W, 3) RGB uint8. Raises PoseError when no picture can be read.
    """
    shown = list(itertools.islice(_readable(reader, input_size, order, crop_margin), count))
    if not shown:
        raise PoseError("a readable picture", "none", reader.skips.summary() or "Check the data.")
    indices, pictures, scenes = (list(part) for part in zip(*shown, strict=True))
    given, company = stacked(scenes)
    truth, visible = given["truth"], given["visible"]
    table = scaled(chances(reader.skeleton, visible.sum(axis=1), company), errors)
    only = np.broadcast_to(np.eye(len(CLASSES))[:, None, None], (len(CLASSES), *table.shape))
    found = [
        synthesise(
            **given,
            chances=chance,
            skeleton=reader.skeleton,
            rngs=generators(seed, epoch, indices),
        )
        for chance in (table, *only)
    ]
    tiles = []
    for n, picture in enumerate(pictures):
        picture, points = _enlarged(picture, truth[n])
        real = draw(picture.copy(), Pose(points, visible[n]), reader.skeleton, 0.5, 2)
        tiles.append(caption(real, "ground truth"))
        for title, drawn in zip(("a draw", *CLASSES), found, strict=True):
            poses, valid, kinds = (part[n] for part in drawn)
            tile, placed = _enlarged(pictures[n], poses)
            if title == "a draw":
                tile = draw(tile, Pose(placed, valid), reader.skeleton, 0.5)
            tiles.append(caption(_marked(tile, points, placed, valid, kinds), title))
    return contact_sheet(tiles, 2 + len(CLASSES), tiles[0].shape[:2])


def _readable(reader, input_size, order, crop_margin):
    """Yields index, picture and scene of every person whose picture can be read."""
    for index in order:
        sample = reader.samples[index]
        box = geometry.crop_box(sample.box, input_size, crop_margin)
        try:
            picture, _ = cut(reader.image(sample), box, input_size)
        except PoseError as error:
            reader.skips.add(sample.name, str(error))
            continue
        yield index, picture, Scene.of_crop(sample, box, input_size)


def _enlarged(picture, points):
    """Picture and points, enlarged."""
    larger, places = enlarged(picture), geometry.normalise(points, picture.shape[:2])
    return larger, geometry.denormalise(places, larger.shape[:2])


def _marked(tile, truth, placed, valid, kinds):
    """Draws the way from each true key point to where it was put."""
    true, ends = (np.rint(points).astype(int).tolist() for points in (truth, placed))
    for k in np.flatnonzero(valid):
        cv2.line(tile, true[k], ends[k], _WAY, 1, cv2.LINE_AA)
        cv2.circle(tile, true[k], 4, _TRUTH, 1, cv2.LINE_AA)
    for k in np.flatnonzero(valid):
        cv2.circle(tile, ends[k], 4, (0, 0, 0), cv2.FILLED, cv2.LINE_AA)
        cv2.circle(tile, ends[k], 3, COLORS[kinds[k]], cv2.FILLED, cv2.LINE_AA)
    return tile
