"""The smallest network of two stages: a map and features of every key point from two convolutions.

What tests of stage 2 alone use; the networks proper have test files of their own.
"""

import functools

import keras

from keras_pose import codecs, models, skeletons
from keras_pose.models.guided import FEATURES, GuidedLoss, Refiner
from keras_pose.models.network import PoseNetwork

CHAIN = skeletons.Skeleton("chain", ("left_a", "b", "right_a"), ((0, 1), (1, 2)))
SIZE = (16, 12)


def TinyGuided(
    skeleton=CHAIN, input_size=SIZE, width=4, kind="gaussian", channels=6, hidden=(5,),
    gating="full", threshold=0.85, points=12, proportion=(1, 1, 1), shuffle=True,
):  # fmt: skip
    skeleton = skeletons.get(skeleton)
    codec = codecs.from_dict(
        {"kind": kind, "input_size": input_size, "map_size": input_size, "sigma": 1.0}
    )
    image = keras.Input((*input_size, 3), name="image")
    x = keras.layers.Rescaling(1 / 127.5, -1.0)(image)
    convolution = functools.partial(keras.layers.Conv2D, kernel_size=3, padding="same")
    maps = convolution(skeleton.count, dtype="float32")(convolution(width, activation="relu")(x))
    refiner = Refiner(skeleton, codec, channels, hidden, gating, threshold)
    values = refiner.values(convolution(width, activation="relu")(x))
    outputs = {codec.head: maps, "points": refiner(maps, values)}
    base = PoseNetwork(
        image, {codec.head: maps}, skeleton=skeleton, codec=codec, builder="Base", arguments={}
    )
    return PoseNetwork(
        image,
        outputs,
        skeleton=skeleton,
        codec=codecs.RefinedPoints(input_size),
        builder="TinyGuided",
        arguments={
            "skeleton": skeleton.to_dict(), "input_size": list(input_size), "width": width,
            "kind": kind, "channels": channels, "hidden": list(hidden), "gating": gating,
            "threshold": threshold, "points": points, "proportion": list(proportion),
            "shuffle": shuffle,
        },
        learner={codec.head: maps, FEATURES: values},
        criterion=lambda: GuidedLoss(
            refiner, base.criterion(), points, proportion, shuffle, seed=1
        ),
        floats=Refiner.FLOATS,
    )  # fmt: skip


models.TinyGuided = TinyGuided
