"""A small network that learns in seconds, and the pictures it learns: three coloured discs.

Red, green and blue are the joints of a person; the network is of the kind that is exported
(convolution, BN, ReLU6, separable blocks, addition, concatenation, bilinear upsampling).
"""

import contextlib
import functools
import json

import cv2
import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from keras import layers

from keras_pose import codecs, export, geometry, models, skeletons
from keras_pose.export import convert
from keras_pose.models.network import PoseNetwork

DISCS = skeletons.Skeleton(
    "discs", ("left_shoulder", "right_hip", "head_top"), ((0, 1), (0, 2)), mirror=(0, 1, 2)
)
SIZE = (64, 64)
PIXELS = ("centred", "unit", "per channel", "none")


def SketchPose(skeleton=DISCS, input_size=SIZE, width=12, pixels="centred", odd=None):
    """pixels: how the input is normalised; odd: an operation that does not quantize or convert."""
    arguments = dict(locals())
    skeleton = skeletons.get(skeleton)
    arguments["skeleton"], arguments["input_size"] = skeleton.to_dict(), list(input_size)
    height, width_px = input_size
    codec = codecs.SoftmaxHeatmap(input_size, (height // 4, width_px // 4), sigma=5.0)
    image = keras.Input((*input_size, 3), name="image")
    x = _normalised(image, pixels)
    x = _block(x, width, 2)
    high = x = _separable(x, width, 2)
    x = _separable(x, 2 * width, 2)
    x = layers.Add()([x, _separable(x, 2 * width)])
    early = layers.Conv2D(skeleton.count, 1, dtype="float32", name="early")(x)
    if odd == "abs":
        x = layers.Activation(keras.ops.abs, name="odd")(x)
    if odd == "argmax":  # over floats it takes a bitwise operation that TFLite does not have
        x = x * keras.ops.cast(keras.ops.argmax(x, axis=-1, keepdims=True), x.dtype)
    x = layers.UpSampling2D(2, interpolation="bilinear")(_block(x, width, kernel=1))
    x = _separable(layers.Concatenate()([x, high]), 2 * width)
    maps = layers.Conv2D(skeleton.count, 1, dtype="float32", name="head")(x)
    return PoseNetwork(
        image,
        {"heatmaps": maps, "early": early},
        skeleton=skeleton,
        codec=codec,
        builder="SketchPose",
        arguments=arguments,
    )


models.SketchPose = SketchPose  # so that a saved file finds its builder


def _normalised(image, pixels):
    match pixels:
        case "centred":
            return layers.Rescaling(1 / 127.5, -1.0)(image)
        case "unit":
            return layers.Rescaling(1 / 255)(image)
        case "per channel":
            return layers.Normalization(mean=(120.0, 110, 100), variance=(58.0**2, 57**2, 56**2))(
                image
            )
    return image


def _block(x, filters, stride=1, kernel=3):
    x = layers.Conv2D(filters, kernel, stride, padding="same", use_bias=False)(x)
    return layers.ReLU(6.0)(layers.BatchNormalization(momentum=0.9)(x))


def _separable(x, filters, stride=1):
    x = layers.DepthwiseConv2D(3, stride, padding="same", use_bias=False)(x)
    x = layers.ReLU(6.0)(layers.BatchNormalization(momentum=0.9)(x))
    return _block(x, filters, kernel=1)


def discs(count, seed, size=SIZE):
    """Pictures (count, H, W, 3) uint8 and points (count, 3, 2) in pixels, on restless grounds."""
    rng = np.random.default_rng(seed)
    height, width = size
    images, points = [], []
    for _ in range(count):
        ground = rng.integers(0, 200, (*rng.integers(2, 7, 2), 3), dtype=np.uint8)
        picture = cv2.resize(ground, (width, height), interpolation=cv2.INTER_CUBIC)
        picture = picture + rng.normal(0, rng.uniform(1, 12), picture.shape)
        picture = np.ascontiguousarray(np.clip(picture, 0, 255).astype(np.uint8))
        where = rng.uniform((5, 5), (width - 6, height - 6), (3, 2))
        for point, hue in zip(where, np.eye(3), strict=True):
            color = tuple(float(v) for v in 30 + 225 * hue * rng.uniform(0.8, 1))
            center = tuple(int(v) for v in np.rint(point * 16))
            cv2.circle(picture, center, int(16 * rng.uniform(3, 5)), color, -1, cv2.LINE_AA, 4)
        images.append(picture)
        points.append(where)
    return np.stack(images), np.stack(points).astype(np.float32)


@functools.cache
def network():
    """A trained SketchPose that finds the discs, with what training would note of it."""
    return _trained(epochs=12, count=448)


@functools.cache
def made(precision="fp32", io="float", output="decoded"):
    """Bytes of its `.tflite`."""
    return export.to_tflite(network(), precision, io, output, discs(60, seed=3)[0])


@functools.cache
def held_out():
    """Pictures it has not seen, and the points in them."""
    return discs(150, seed=9)


def run(model, pictures):
    """All signature outputs of a `.tflite` on pictures (N, H, W, 3): {name: (N, ...)}."""
    runner = Interpreter(model_content=model, num_threads=1).get_signature_runner("serving_default")
    kind = runner.get_input_details()["image"]["dtype"]
    found = [runner(image=picture[None].astype(kind)) for picture in pictures]
    return {name: np.concatenate([f[name] for f in found]) for name in found[0]}


def pixels_of(model, pictures):
    """Key points (N, 3, 2) in pixels."""
    return geometry.denormalise(run(model, pictures)["keypoints"], SIZE)


def _trained(epochs, count):
    keras.utils.set_random_seed(0)
    network = SketchPose()
    images, points = discs(count, seed=1)
    visible = np.ones(points.shape[:2], np.float32)
    targets = network.codec.encode(geometry.normalise(points, SIZE), visible)

    def cross_entropy(target, maps):
        logits = keras.ops.reshape(maps, (-1, np.prod(network.codec.map_size), 3))
        target = keras.ops.reshape(target, keras.ops.shape(logits))
        return -keras.ops.mean(keras.ops.sum(target * keras.ops.log_softmax(logits, 1), 1))

    model = network.inference()
    model.compile(keras.optimizers.Adam(4e-3), cross_entropy)
    model.fit(images.astype(np.float32), targets, batch_size=32, epochs=epochs, verbose=0)
    network.notes = {
        "recipe": "sketch",
        "crop_margin": 1.3,
        "threshold": 0.41,
        "validation": {"pck@0.2": 50.0},
    }
    return network


def write_coco(folder, counts, names=DISCS.keypoints, seed=5):
    """A COCO folder of disc pictures, one person each: {split: how many}."""
    (folder / "images").mkdir(parents=True)
    (folder / "annotations").mkdir()
    for number, (split, count) in enumerate(counts.items()):
        pictures, points = discs(count, seed + number, size=(80, 80))
        images, persons = [], []
        for i, (picture, where) in enumerate(zip(pictures, points, strict=True)):
            name = f"{split}{i}.png"
            cv2.imwrite(str(folder / "images" / name), picture[..., ::-1])
            images.append({"id": i, "file_name": name, "width": 80, "height": 80})
            low, extent = where.min(axis=0), np.ptp(where, axis=0)
            person = {
                "id": i, "image_id": i, "category_id": 1, "iscrowd": 0, "num_keypoints": 3,
                "bbox": [*map(float, low), *map(float, extent)], "area": float(extent.prod()),
                "keypoints": [v for x, y in where for v in (float(x), float(y), 2)],
            }  # fmt: skip
            persons.append(person)
        category = {"id": 1, "name": "discs", "keypoints": list(names), "skeleton": [[1, 2]]}
        content = {"images": images, "annotations": persons, "categories": [category]}
        (folder / "annotations" / f"{split}.json").write_text(json.dumps(content))
    return folder


@contextlib.contextmanager
def converted_once():
    """Files of one network and output begin with the same float file: it is made for the first."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(convert, "to_float", functools.cache(convert.to_float))
        yield
