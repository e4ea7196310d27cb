"""What the tests of codecs and of their decoders share: maps, and other places to decode them."""

import os
import subprocess
import sys

import keras
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from conftest import ROOT

from keras_pose import export, skeletons
from keras_pose.codecs import GaussianHeatmap, SoftmaxHeatmap
from keras_pose.models.network import PoseNetwork

# (input size, map size, sigma in input pixels): square, tall, unequal strides, smallest map
SHAPES = [
    ((128, 128), (32, 32), 6.0),
    ((256, 192), (64, 48), 8.0),
    ((64, 96), (32, 24), 4.0),
    ((12, 12), (3, 3), 5.0),
]
KINDS = [GaussianHeatmap, SoftmaxHeatmap]
THREE = skeletons.Skeleton("three", ("a", "b", "c"))


def maps_of(codec, keypoints, visible=None):
    """What a network that has learned the targets by heart would give out."""
    visible = np.ones(keypoints.shape[:2], np.float32) if visible is None else visible
    target = codec.encode(keypoints, visible)
    return np.log(np.maximum(target, 1e-30)) if codec.kind == "softmax" else target


def points(batch, count, seed=0, low=0.0, high=1.0):
    return np.random.default_rng(seed).uniform(low, high, (batch, count, 2)).astype(np.float32)


def borders():
    """(1, 25, 2): corners and edges of the picture, and just inside them."""
    ends = np.array([0.0, 0.003, 0.5, 0.997, 1.0], np.float32)
    return np.stack(np.meshgrid(ends, ends), axis=-1).reshape(1, -1, 2)


def equal(found, expected):
    for name, a, b in zip(("target", "keypoints", "scores"), found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5, err_msg=name)


def on_jax(cases, folder):
    """[(target, keypoints, scores)] of (codec, keypoints, visible, maps), jitted, one process."""
    arrays = [array for _, *given in cases for array in given]
    np.savez(folder / "in.npz", *arrays)
    code = f"""
import jax, numpy as np
from keras_pose import codecs
given = map(jax.numpy.array, np.load({str(folder / "in.npz")!r}).values())
found = []
for values in {[codec.to_dict() for codec, *_ in cases]!r}:
    codec = codecs.from_dict(values)
    found += [jax.jit(codec.encode)(next(given), next(given)), *jax.jit(codec.decode)(next(given))]
np.savez({str(folder / "out.npz")!r}, *found)
"""
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, env=environment)
    arrays = list(np.load(folder / "out.npz").values())
    return [tuple(arrays[i : i + 3]) for i in range(0, len(arrays), 3)]


def mirror(codec, head):
    """A network whose prediction is made of its picture by `head`: what goes in is decoded."""
    image = keras.Input((*codec.input_size, 3), name="image")
    outputs = {codec.head: head(image)}
    return PoseNetwork(
        image, outputs, skeleton=THREE, codec=codec, builder="Mirror", arguments={}
    )  # fmt: skip


def in_tflite(codec, pictures, head=None):
    """(keypoints, scores) of a `.tflite` that decodes its pictures (B, H, W, 3), or `head`'s."""
    network = mirror(codec, head or keras.layers.Identity())
    run = Interpreter(model_content=export.to_tflite(network)).get_signature_runner()
    found = [run(image=picture[None]) for picture in pictures]
    return tuple(np.concatenate([f[name] for f in found]) for name in ("keypoints", "scores"))
