"""One person in a still picture: no past to start from, but time to look everywhere."""

import numpy as np

from keras_pose import geometry
from keras_pose.results import Pose
from keras_pose.runtime import search
from keras_pose.runtime.estimator import PoseEstimator
from keras_pose.runtime.model import check_image


def find_person(
    estimator: PoseEstimator, image: np.ndarray, box=None, threshold: float | None = None
) -> Pose | None:
    """The pose of the person in a picture, or None where nobody is seen.

    Looks at the whole picture, then again in a crop around the pose; where that shows nobody, at
    tiles of the picture. The first person who is confident and stays the same on a second look is
    taken, else the most confident second look above the threshold.
    image: (H, W, 3) RGB uint8; box: (x, y, w, h) of a person who is known to be there: one look,
    in this box with the usual margin, always returned. threshold: None takes the metadata's.
    """
    check_image(image)
    described = estimator.metadata
    if box is not None:
        return estimator(image, geometry.crop_box(box, estimator.input_size, described.crop_margin))
    threshold = described.threshold if threshold is None else threshold
    glance, best = search.GLANCE * threshold, None
    for tile in search.plan(image.shape[:2], estimator.input_size):
        first = search.Look(estimator(image, tile), glance)
        if first.score < glance or not first.plausible():
            continue
        crop = geometry.crop_box(first.loose, estimator.input_size, described.crop_margin)
        second = search.Look(estimator(image, crop), threshold)
        if second.score < threshold or not second.plausible(centred=True):
            continue
        if search.agree(first, second, glance):
            return search.complete(estimator, image, second, threshold).pose
        if best is None or second.score > best.score:
            best = second
    return None if best is None else best.pose
