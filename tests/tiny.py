"""The smallest network and data that a training test can use."""

import functools

import keras
import numpy as np

from keras_pose import codecs, losses, models, skeletons
from keras_pose.models.network import PoseNetwork

CHAIN = skeletons.Skeleton("chain", ("left_a", "b", "right_a"), ((0, 1), (1, 2)))


def TinyPose(skeleton=CHAIN, input_size=(16, 16), width=4, kind="gaussian", drop=0.0):
    """A convolution, BN and a head: every kind of variable that a state must hold."""
    skeleton = skeletons.get(skeleton)
    codec = codecs.from_dict(
        {"kind": kind, "input_size": input_size, "map_size": input_size, "sigma": 2.0}
    )
    image = keras.Input((*input_size, 3), name="image")
    x = keras.layers.Rescaling(1 / 127.5, -1.0)(image)
    x = keras.layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
    x = keras.layers.ReLU(6.0)(keras.layers.BatchNormalization(momentum=0.9)(x))
    if drop:
        x = keras.layers.Dropout(drop)(x)
    coarse = keras.layers.AveragePooling2D(2)(x)
    coarse = keras.layers.Conv2D(skeleton.count, 1, dtype="float32")(coarse)
    maps = keras.layers.Conv2D(skeleton.count, 3, padding="same", dtype="float32")(x)
    return PoseNetwork(
        image,
        {"coarse": coarse, "heatmaps": maps},
        skeleton=skeleton,
        codec=codec,
        builder="TinyPose",
        arguments={
            "skeleton": skeleton.to_dict(), "input_size": list(input_size), "width": width,
            "kind": kind, "drop": drop,
        },
    )  # fmt: skip


def TinyPoints(skeleton=CHAIN, input_size=(16, 16), width=4, groups=2):
    """Regression in little: a coarse guess, two corrections, and groups that only training sees."""
    skeleton = skeletons.get(skeleton)
    count = skeleton.count
    image = keras.Input((*input_size, 3), name="image")
    x = keras.layers.Rescaling(1 / 127.5, -1.0)(image)
    x = keras.layers.Conv2D(width, 3, 2, padding="same", use_bias=False)(x)
    x = keras.layers.ReLU(6.0)(keras.layers.BatchNormalization(momentum=0.9)(x))
    x = keras.layers.Flatten()(keras.layers.AveragePooling2D(2)(x))

    def point(name):
        place = keras.layers.Dense(2 * count, dtype="float32", name=f"{name}_place")
        scale = keras.layers.Dense(2 * count, "sigmoid", dtype="float32", name=f"{name}_scale")
        shape = [keras.layers.Reshape((count, 2), dtype="float32") for _ in range(2)]
        join = keras.layers.Concatenate(dtype="float32", name=name)
        return lambda x: join([shape[0](place(x)), shape[1](scale(x))])

    outputs, learned = {}, {}
    for name in ("coarse", "layer1", "coordinates"):
        head = point(name)
        outputs[name] = learned[name] = head(x)
        if name != "coarse" and groups:
            noisy = [keras.layers.GaussianNoise(0.1)(x) for _ in range(groups)]
            answers = [outputs[name], *map(head, noisy)]
            learned[name] = keras.layers.Concatenate(axis=1, dtype="float32")(answers)
    return PoseNetwork(
        image,
        outputs,
        skeleton=skeleton,
        codec=codecs.Coordinates(input_size),
        builder="TinyPoints",
        arguments={
            "skeleton": skeleton.to_dict(), "input_size": list(input_size), "width": width,
            "groups": groups,
        },
        learner=learned,
        criterion=functools.partial(losses.RLE, count),
    )  # fmt: skip


# so that a saved file finds its builder
models.TinyPose, models.TinyPoints = TinyPose, TinyPoints


def batch(size=4, input_size=16, seed=0):
    """(x, y) as keras_pose.data.batches.Loader gives them, with a person in every crop."""
    rng = np.random.default_rng(seed)
    matrix = np.tile(np.eye(3, dtype=np.float32)[:2], (size, 1, 1))
    matrix[:, :, 2] = 2.0
    x = {
        "patch": rng.integers(0, 256, (size, input_size + 4, input_size + 4, 3)).astype(np.uint8),
        "matrix": matrix,
        "color": np.tile(np.array([[[1.0] * 3, [0.0] * 3]], np.float32), (size, 1, 1)),
    }
    y = {
        "keypoints": rng.random((size, 3, 2)).astype(np.float32),
        "visible": np.ones((size, 3), np.float32),
        "person": np.ones(size, np.float32),
    }
    return x, y
