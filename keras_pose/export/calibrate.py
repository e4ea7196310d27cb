"""Pictures for calibration: real crops, through the preprocessing that the apps use."""

import numpy as np

from keras_pose import geometry
from keras_pose.data.subset import Subset
from keras_pose.errors import PoseError
from keras_pose.runtime import crop

ADVICE = "Give 100 to 300 real pictures with --calibrate DIR: the activations' ranges are theirs."


def patches(reader, input_size, count=200, seed=0, crop_margin=1.25):
    """Crops of persons, evenly spread over a reader; the same ones for the same seed.

    reader: keras_pose.data reader; input_size: (H, W); count: at most so many, 0 for all; seed:
    their order. Yields uint8 (H, W, 3). Unreadable pictures are counted in reader.skips.
    Raises PoseError when there is no person, or none whose picture can be read.
    """
    samples = Subset(reader, count).samples
    made = 0
    for i in np.random.default_rng(seed).permutation(len(samples)):
        sample = samples[i]
        try:
            image = reader.image(sample)
        except PoseError as error:
            reader.skips.add(sample.name, str(error))
            continue
        made += 1
        yield crop.cut(image, geometry.crop_box(sample.box, input_size, crop_margin), input_size)[0]
    if not made:
        raise PoseError(
            "at least one readable person to calibrate with", reader.skips.summary(), ADVICE
        )


def checked(pictures, input_size):
    """A list of calibration patches.

    Raises PoseError when there are none, or for one of another shape or type than uint8 (H, W, 3).
    """
    pictures = list(pictures)
    if not pictures:
        raise PoseError("pictures to calibrate with", "none", ADVICE)
    shape = (*input_size, 3)
    for i, picture in enumerate(pictures):
        if np.shape(picture) != shape or picture.dtype != np.uint8:
            raise PoseError(
                f"calibration patches of shape {shape} and type uint8",
                f"number {i} of shape {np.shape(picture)} and type "
                f"{getattr(picture, 'dtype', type(picture).__name__)}",
                "Cut them with keras_pose.export.patches(reader, network.input_size).",
            )
    return pictures
