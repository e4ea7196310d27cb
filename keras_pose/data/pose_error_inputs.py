"""What the synthesis of input poses asks of a sample: its size, who is near, its random numbers."""

import numpy as np

from keras_pose import geometry
from keras_pose.data.sample import Sample
from keras_pose.metrics.diagnosis import FILLED, area_from_extent

_SMALLEST = 16.0**2  # px^2, of the least crop that geometry.crop_box makes
_NEAR = 0.1  # least overlap of two boxes (IoU) that counts
_ONESELF = 0.999
_STREAM = 7  # beside augment.draw's numbers, which are of (seed, epoch, index)


def box_area(sample: Sample) -> float:
    """Area of a person's box in pixels of the picture, the A of PoseFix's distances.

    In a crop it is this times the square of the crop's scale (patches.View.scale). COCO's boxes
    are taken as they are. Other data have none, but the key points' extent or a rough square, so
    there it is the box that would go with metrics.diagnosis.area_from_extent, and of a person whose
    single key point tells no size that of the least crop.
    """
    if np.isfinite(sample.area):
        return float(sample.box[2] * sample.box[3])
    area = area_from_extent(sample.keypoints[None], sample.visible[None])[0] / FILLED
    return float(area) if np.isfinite(area) else _SMALLEST


def near(sample: Sample) -> int:
    """O: how many of the picture's other labelled persons have a box whose IoU with the sample's is
    at least 0.1. Boxes of unlabelled persons and crowds count too, but never more than there are
    labelled persons."""
    overlaps = [geometry.overlap(sample.box, box) for box in sample.people if min(box[2:]) > 0]
    oneself = any(overlap > _ONESELF for overlap in overlaps)
    return min(sum(overlap >= _NEAR for overlap in overlaps) - oneself, len(sample.others))


def generators(seed: int, epoch: int, indices) -> list[np.random.Generator]:
    """A generator for each sample, a pure function of (seed, epoch, sample index), and of other
    numbers than the sample's augmentation."""
    return [np.random.default_rng((seed, epoch, int(index), _STREAM)) for index in indices]
