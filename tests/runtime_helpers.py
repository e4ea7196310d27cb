"""A tiny `.tflite` that really finds something: three coloured dots are a three-joint person.

The network is not trained: a 1x1 convolution answers to red, green and blue, so a test can paint
a person and know to a fraction of a pixel what must come back.
"""

import contextlib
import io
import warnings

import cv2
import numpy as np

from keras_pose import metadata
from keras_pose.codecs import Coordinates, GaussianHeatmap
from keras_pose.skeletons import Skeleton

SKELETON = Skeleton("dots", ("head", "left_hand", "right_hand"), edges=((0, 1), (0, 2)))
SIZE = (64, 64)
COLORS = 127.0 + 128.0 * np.eye(3)  # on grey
SIGMA = 4.0  # of a dot, in pixels of the network's input


def paint(size, points, sigma, background=127.0):
    """A grey picture (H, W, 3) with a soft dot of its own colour at each of 3 points."""
    image = np.full((*size, 3), background, np.float32)
    y, x = np.mgrid[: size[0], : size[1]]
    for (cx, cy), color in zip(points, COLORS, strict=True):
        bump = np.exp(-0.5 * ((x - cx) ** 2 + (y - cy) ** 2) / sigma**2)[..., None]
        image += bump.astype(np.float32) * (color - background).astype(np.float32)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def turned_jpeg(image) -> bytes:
    """A picture (H, W, 3) BGR as a JPEG whose EXIF entry says to turn it by a quarter."""
    data = cv2.imencode(".jpg", image)[1].tobytes()
    # an APP1 segment with one IFD entry: orientation (0x0112) = 6
    entry = b"\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00"
    body = b"Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\x00\x01" + entry + b"\x00\x00\x00\x00"
    segment = b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body
    return data[:2] + segment + data[2:]


def dots_model(
    output="decoded", io_type="float32", attach=True, coordinates=False, **fields
) -> bytes:
    """The bytes of the `.tflite`; `fields` go into the metadata.

    coordinates: it regresses, to the maps' centres of gravity, each axis as uncertain as a dot is
    wide.
    """
    import keras
    import tensorflow as tf

    codec = GaussianHeatmap(SIZE, (SIZE[0] // 2, SIZE[1] // 2), sigma=SIGMA)
    image = keras.Input((*SIZE, 3), batch_size=1, name="image")
    convolution = keras.layers.Conv2D(3, 1, activation="relu")
    maps = keras.layers.AveragePooling2D(2)(convolution(image))
    # a channel minus the mean of the other two, 1 at a dot's centre
    weights = (np.eye(3) * 1.5 - 0.5) / 128
    convolution.set_weights([weights[None, None].astype(np.float32), np.zeros(3, np.float32)])
    head = maps
    if coordinates:
        head, codec = _centres(maps), Coordinates(SIZE)
    outputs = {codec.head: head}
    if output == "decoded":
        keypoints, scores = codec.decode(head)
        outputs = {"keypoints": keypoints, "scores": scores}
    converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(image, outputs))
    if io_type == "uint8":
        rng = np.random.default_rng(0)

        def pictures():
            for _ in range(8):
                points = rng.uniform(10, 54, (3, 2))
                yield [paint(SIZE, points, SIGMA)[None].astype(np.float32)]

        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = pictures
        converter.inference_input_type = tf.uint8
        if output == "heads":
            converter.inference_output_type = tf.uint8
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = converter.convert()
    if not attach:
        return model
    described = metadata.Metadata(
        skeleton=SKELETON, codec=codec, output=output, input_type=io_type, **fields
    )
    return metadata.attach(model, described)


def _centres(maps):
    """(1, h, w, K) to (1, K, 4): where the maps are brightest, and SIGMA of the crop."""
    from keras import ops

    height, width = maps.shape[1:3]
    down = (np.arange(height, dtype=np.float32)[:, None, None] + 0.5) / height
    across = (np.arange(width, dtype=np.float32)[:, None] + 0.5) / width
    whole = ops.sum(maps, axis=(1, 2)) + 1e-6
    places = [ops.sum(maps * axis, axis=(1, 2)) / whole for axis in (across, down)]
    scales = [0.0 * place + SIGMA / side for place, side in zip(places, SIZE[::-1], strict=True)]
    return ops.stack([*places, *scales], axis=-1)
