"""Maps that a backbone reads beside the picture, as PoseFix reads a pose.

Full-sized maps are further channels of the picture. Maps of half its sides join behind the first
convolution, through a 1 x 1 convolution of their own: the first convolution is linear, so of maps
that are smooth over its kernel it would make nearly the same, at several times the cost. Behind its
normalisation they are still linear in the weights, and the normalisation folds.
"""

from keras import layers

from keras_pose.errors import PoseError

_NAME = "beside"  # what the names of these layers begin with


def check(image, maps):
    """Raises PoseError for maps that are neither as large as the picture nor half as large."""
    sides = tuple(image.shape[1:3])
    halves = tuple(side // 2 for side in sides)
    if maps is not None and tuple(maps.shape[1:3]) not in (sides, halves):
        raise PoseError(
            f"maps beside a picture of {sides}, as large or of {halves}",
            f"of {tuple(maps.shape[1:3])}",
            "Draw them at stride 1 or 2.",
        )


def joined(picture, maps):
    """The normalised picture (B, H, W, 3) and behind its channels those of maps of its size."""
    if maps is None or maps.shape[1] != picture.shape[1]:
        return picture
    return layers.Concatenate(name=f"{_NAME}_join")([picture, maps])


def added(x, maps):
    """What the first convolution and its normalisation have made, (B, H/2, W/2, C), with what a
    1 x 1 convolution makes of maps of its size. It begins at zero: a trained backbone begins as it
    was."""
    if maps is None or maps.shape[1] != x.shape[1]:
        return x
    convolution = layers.Conv2D(
        x.shape[-1], 1, use_bias=False, kernel_initializer="zeros", name=f"{_NAME}_conv"
    )
    return layers.Add(name=f"{_NAME}_add")([x, convolution(maps)])
