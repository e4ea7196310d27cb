"""The smallest networks that refine a pose: one to train, and one that needs no training."""

import keras
import numpy as np
from keras import ops
from runtime_helpers import SIGMA, SIZE, SKELETON

from keras_pose import codecs, models, skeletons
from keras_pose.models.network import PoseNetwork

CHAIN = skeletons.Skeleton("chain", ("left_a", "b", "right_a"), ((0, 1), (1, 2)))


@keras.saving.register_keras_serializable(package="tests")
class Bumps(keras.layers.Layer):
    """Pose (B, K, 3) to a bump per key point that there is: (B, H, W, K)."""

    def __init__(self, size, sharp=50.0, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.size, self.sharp = tuple(size), sharp

    def call(self, pose):
        axes = []
        for axis, side in ((1, self.size[0]), (0, self.size[1])):
            cells = (ops.arange(side, dtype="float32") + 0.5) / side
            axes.append(ops.exp(-self.sharp * (cells[:, None] - pose[:, None, :, axis]) ** 2))
        down, across = axes
        return (down * pose[:, None, :, 2])[:, :, None] * across[:, None]


def TinyRefiner(skeleton=CHAIN, input_size=(16, 16), width=4, early=False):
    """early: with an intermediate prediction."""
    skeleton = skeletons.get(skeleton)
    codec = codecs.SoftmaxHeatmap(input_size, input_size, sigma=2.0)
    image = keras.Input((*input_size, 3), name="image")
    pose = keras.Input((skeleton.count, 3), name="pose")
    seen = [keras.layers.Rescaling(1 / 127.5, -1.0)(image), Bumps(input_size)(pose)]
    x = keras.layers.Concatenate()(seen)
    x = keras.layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
    x = keras.layers.ReLU(6.0)(keras.layers.BatchNormalization(momentum=0.9)(x))
    maps = keras.layers.Conv2D(skeleton.count, 3, padding="same", dtype="float32")(x)
    outputs = {"heatmaps": maps}
    if early:
        outputs["early"] = keras.layers.Conv2D(skeleton.count, 1, dtype="float32")(x)
    return PoseNetwork(
        {"image": image, "pose": pose},
        outputs,
        skeleton=skeleton,
        codec=codec,
        builder="TinyRefiner",
        arguments={
            "skeleton": skeleton.to_dict(), "input_size": list(input_size), "width": width,
            "early": early,
        },
    )  # fmt: skip


def DotsRefiner():
    """Finds the painted dots (runtime_helpers.paint) that are near the given pose, and nothing
    where a pose lacks a key point."""
    half = (SIZE[0] // 2, SIZE[1] // 2)
    codec = codecs.GaussianHeatmap(SIZE, half, sigma=SIGMA)
    image = keras.Input((*SIZE, 3), name="image")
    pose = keras.Input((3, 3), name="pose")
    colors = keras.layers.Conv2D(3, 1, activation="relu")
    maps = keras.layers.AveragePooling2D(2)(colors(image))
    near = Bumps(half, sharp=8.0)(pose)
    maps = keras.layers.Multiply(dtype="float32")([maps, near])
    weights = (np.eye(3) * 1.5 - 0.5) / 128
    colors.set_weights([weights[None, None].astype(np.float32), np.zeros(3, np.float32)])
    return PoseNetwork(
        {"image": image, "pose": pose}, {"heatmaps": maps}, skeleton=SKELETON, codec=codec,
        builder="DotsRefiner", arguments={},
    )  # fmt: skip


models.TinyRefiner, models.DotsRefiner = TinyRefiner, DotsRefiner
