"""One map per key point, read from one map of features: what SimpleBaseline and HRNet share."""

import functools

import keras
from keras import layers

from keras_pose import skeletons
from keras_pose.codecs import GaussianHeatmap, SoftmaxHeatmap
from keras_pose.errors import PoseError
from keras_pose.models.branch import copied
from keras_pose.models.network import PoseNetwork, sides
from keras_pose.models.start import check, start

CODECS = {"softmax": SoftmaxHeatmap, "mse": GaussianHeatmap}  # by the loss that they are for
LAST = "last_heatmaps"  # int8 would make cells of a peak equal, and its place one of them
_DEVIATION = 0.001  # of the last kernel, as released: maps begin empty, as most of a target is


def network(builder, image, features, skeleton, arguments, backbone, stage) -> PoseNetwork:
    """A PoseNetwork whose `heatmaps` (B, h, w, K) are a 1x1 convolution of `features`.

    features: (B, h, w, C); their size is the maps'. arguments: what the builder was called with,
    `checked`. backbone: whose weights it may begin with, see `start`. stage: what the names begin
    with of the layers that a branch copies, see keras_pose.models.branch.

    Raises PoseError for maps that are too small, and for weights that do not fit.
    """
    maps = last(features, skeleton.count)
    codec = CODECS[arguments["loss"]](
        arguments["input_size"], features.shape[1:3], arguments["sigma"], arguments["decoder"],
        arguments["unbiased"],
    )  # fmt: skip
    made = PoseNetwork(
        image,
        {codec.head: maps},
        skeleton=skeleton,
        codec=codec,
        builder=builder,
        arguments={**arguments, "weights": None},
        floats=(LAST,),
        branch=functools.partial(copied, image, features, stage),
    )
    if arguments["weights"] is not None:
        start(made, backbone, arguments["weights"])
    return made


def last(features, count):
    """`count` maps (B, h, w, count) from features (B, h, w, C), float32 whatever the policy."""
    return layers.Conv2D(
        count, 1, kernel_initializer=keras.initializers.RandomNormal(stddev=_DEVIATION),
        dtype="float32", name=LAST,
    )(features)  # fmt: skip


def checked(arguments):
    """(skeleton, input size) of a builder's arguments, which become plain types.

    Raises PoseError for a loss, a `frozen_norm` or weights that cannot be.
    """
    check(arguments)
    if arguments["loss"] not in CODECS:
        raise PoseError(
            f"a loss among {sorted(CODECS)}", repr(arguments["loss"]), "Choose one of them."
        )
    if not isinstance(arguments["unbiased"], bool):
        raise PoseError("unbiased True or False", repr(arguments["unbiased"]), "Change it.")
    skeleton, input_size = skeletons.get(arguments["skeleton"]), sides(arguments["input_size"])
    arguments |= {"skeleton": skeleton.to_dict(), "input_size": list(input_size)}
    return skeleton, input_size
