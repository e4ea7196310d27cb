"""Pictures for calibration: real crops, through the preprocessing that the apps use."""

import numpy as np

from keras_pose import geometry
from keras_pose.data.pose_error_inputs import generators
from keras_pose.data.pose_scene import Scene, input_poses
from keras_pose.data.subset import Subset
from keras_pose.errors import PoseError
from keras_pose.runtime import crop

ADVICE = "Give 100 to 300 real pictures with --calibrate DIR: the activations' ranges are theirs."


def patches(reader, input_size, count=200, seed=0, crop_margin=1.25, poses=False):
    """Crops of persons, evenly spread over a reader; the same ones for the same seed.

    reader: keras_pose.data reader; input_size: (H, W); count: at most so many, 0 for all; seed:
    their order. Yields uint8 (H, W, 3); with poses pairs of it and an input pose (K, 3), drawn as
    for training. Unreadable pictures are counted in reader.skips.
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
        box = geometry.crop_box(sample.box, input_size, crop_margin)
        patch = crop.cut(image, box, input_size)[0]
        if poses:
            scenes, rngs = [Scene.of_crop(sample, box, input_size)], generators(seed, 0, [i])
            yield patch, input_poses(scenes, reader.skeleton, rngs, input_size)[0]
        else:
            yield patch
    if not made:
        raise PoseError(
            "at least one readable person to calibrate with", reader.skips.summary(), ADVICE
        )


def checked(given, network):
    """What a network is calibrated with, as a list of what its inputs get, by name.

    given: patches, or pairs of a patch and a pose, see `patches`. Raises PoseError when there are
    none, or for one of another shape or type than uint8 (H, W, 3) and for poses (K, 3).
    """
    given = list(given)
    if not given:
        raise PoseError("pictures to calibrate with", "none", ADVICE)
    names = ("image", *network.extra_inputs)
    shapes = {x.name: tuple(x.shape[1:]) for x in network.inputs}
    checked = []
    for i, one in enumerate(given):
        one = one if isinstance(one, tuple) else (one,)
        fed = dict(zip(names, one, strict=False))
        good = len(one) == len(names) and fed["image"].dtype == np.uint8
        if not good or any(np.shape(fed[name]) != shapes[name] for name in names):
            expected = " and a pose of shape ".join(str(shapes[name]) for name in names)
            raise PoseError(
                f"calibration patches of type uint8 and shape {expected}",
                f"number {i} with {[(np.shape(x), str(getattr(x, 'dtype', '?'))) for x in one]}",
                "Cut them with keras_pose.export.patches(reader, network.input_size"
                + (", poses=True)." if len(names) > 1 else ")."),
            )
        for name in names[1:]:
            fed[name] = np.asarray(fed[name], np.float32)
        checked.append(fed)
    return checked
