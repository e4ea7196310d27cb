"""Pictures of three dots, a model that finds them, and entries of results near them."""

import cv2
import numpy as np
from runtime_helpers import SIGMA, paint
from tiny_refiner import DotsRefiner

from keras_pose import export

POINTS = np.array([[30.3, 12.6], [14.2, 40.9], [51.7, 45.0]]) * 2 + 30  # of pictures of 200 x 200
TRUTH = {7: POINTS, 9: POINTS + (20, 5)}
OFF = np.array([[5, -4], [-5, 4], [4, 5]])


def write_model(folder):
    """The path of a .tflite that refines."""
    path = folder / "dots.tflite"
    path.write_bytes(export.to_tflite(DotsRefiner(), "fp32", "uint8", "decoded"))
    return path


def write_images(folder):
    """A folder of the pictures of TRUTH, and of a damaged one, 8."""
    for picture, points in TRUTH.items():
        image = paint((200, 200), points, 2 * SIGMA)
        cv2.imwrite(str(folder / f"{picture:012d}.png"), image[..., ::-1])
    (folder / "000000000008.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    return folder


def entry(picture=7, points=None, scores=(0.5, 1, 0.25), **changes):
    """A result; a change to `...` leaves the key out."""
    points = TRUTH.get(picture, POINTS) + OFF if points is None else np.asarray(points)
    triples = [v for (x, y), s in zip(points.tolist(), scores, strict=True) for v in (x, y, s)]
    made = {"image_id": picture, "category_id": 1, "keypoints": triples, "score": 0.75}
    return {k: v for k, v in {**made, **changes}.items() if v is not ...}


def found(result):
    """(K, 3) of a result."""
    return np.reshape(result["keypoints"], (-1, 3))
