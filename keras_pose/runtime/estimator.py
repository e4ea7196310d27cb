"""One person's pose from one crop, by a `.tflite` file that says itself how to be used."""

import os

import numpy as np

from keras_pose import geometry, metadata, presets
from keras_pose.errors import PoseError
from keras_pose.results import Pose
from keras_pose.runtime.crop import cut
from keras_pose.skeletons import Skeleton


class PoseEstimator:
    """A pose network in LiteRT, from pixels to key points.

    path: a `.tflite` written by keras_pose (decoded or heads; input float32 or uint8), or the
    name of a preset; threads: CPU threads of the interpreter.
    Symbols: K key points, H x W the network's input.
    Raises PoseError when the file is missing, damaged, without metadata, or contradicts it.
    """

    def __init__(self, path: str | os.PathLike, threads: int = 1):
        from ai_edge_litert.interpreter import Interpreter  # training imports this room without it

        path = presets.resolve(path)
        self.metadata = metadata.read(path)
        if threads < 1:
            raise PoseError("one thread or more", f"{threads} threads", "Change --threads.")
        try:
            self._interpreter = Interpreter(model_path=os.fspath(path), num_threads=threads)
            self._interpreter.allocate_tensors()
            runner = self._interpreter.get_signature_runner()
        except (ValueError, RuntimeError) as error:
            raise PoseError(
                "a .tflite that LiteRT can run, with one signature",
                f"{path} ({str(error).strip().splitlines()[0]})",
                "Copy the file again, or export it again with convert/export.py.",
            ) from error
        self._inputs = next(iter(runner.get_input_details().values()))
        self._outputs = runner.get_output_details()
        self._check(path)

    @property
    def skeleton(self) -> Skeleton:
        """The names and bones of the K key points."""
        return self.metadata.skeleton

    @property
    def input_size(self) -> tuple[int, int]:
        """(H, W) of the network's input."""
        return self.metadata.input_size

    def __call__(self, image: np.ndarray, box=None) -> Pose:
        """The pose of the person in a box, in pixels of the picture.

        image: (h, w, 3) RGB uint8, any size; box: (x, y, w, h), grown to the input's aspect, with
        the margin already in it (geometry.crop_box), or None for the whole picture. The pose is
        the network's guess even where nobody is: compare its score with metadata.threshold.
        """
        check_image(image)
        box = geometry.whole(image.shape[:2]) if box is None else box
        box = geometry.crop_box(box, self.input_size, margin=1.0, smallest=1.0)
        patch, _ = cut(image, box, self.input_size)
        keypoints, scores = self._predict(patch)
        # from the crop's 0..1, in place: a box begins at the edge of its first pixel, where u is 0
        keypoints *= box[2:]
        keypoints += box[:2]
        return Pose(keypoints, scores, box)

    def predict_patch(self, patch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Key points (K, 2) float32 in pixels of the patch, and scores (K,) float32.

        patch: (H, W, 3) RGB uint8 of the network's input size.
        """
        if patch.dtype != np.uint8 or patch.shape != (*self.input_size, 3):
            raise PoseError(
                f"a patch of shape {(*self.input_size, 3)} and type uint8",
                f"shape {patch.shape} and type {patch.dtype}",
                "Cut it with keras_pose.runtime.crop.cut(image, box, estimator.input_size).",
            )
        keypoints, scores = self._predict(patch)
        return geometry.denormalise(keypoints, self.input_size), scores

    def _predict(self, patch):
        """Normalised key points (K, 2) and scores (K,) of a patch that has the right shape."""
        self._interpreter.set_tensor(
            self._inputs["index"], patch[None].astype(self._inputs["dtype"], copy=False)
        )
        self._interpreter.invoke()
        if self.metadata.output == "heads":
            keypoints, scores = self.metadata.codec.decode(self._read(self.metadata.codec.head))
        else:
            keypoints, scores = self._read("keypoints"), self._read("scores")
        return keypoints[0], scores[0]

    def _read(self, name):
        """A signature output as float32."""
        details = self._outputs[name]
        values = self._interpreter.get_tensor(details["index"])
        if values.dtype == np.float32:
            return values
        scale, zero = details["quantization"]
        return (values.astype(np.float32) - zero) * np.float32(scale)

    def _check(self, path):
        """Refuses a file whose tensors are not what its metadata says."""
        count, codec = self.skeleton.count, self.metadata.codec
        outputs = {
            "decoded": {"keypoints": (1, count, 2), "scores": (1, count)},
            "heads": {codec.head: (1, *codec.head_shape(count))},
        }.get(self.metadata.output)
        wanted = {"image": (1, *self.input_size, 3), **(outputs or {})}
        found = {n: tuple(d["shape"]) for n, d in self._outputs.items()}
        found["image"] = tuple(self._inputs["shape"])
        if not outputs or any(found.get(n) != shape for n, shape in wanted.items()):
            raise PoseError(
                f"tensors {wanted} for output {self.metadata.output!r} and {count} key points",
                f"{path} with {found}",
                "Export the model again with convert/export.py.",
            )


def check_image(image: np.ndarray) -> None:
    """Raises PoseError unless `image` is RGB uint8 (h, w, 3) with at least one pixel."""
    shape, dtype = getattr(image, "shape", None), getattr(image, "dtype", type(image))
    if dtype != np.uint8 or len(shape) != 3 or shape[2] != 3 or 0 in shape:
        raise PoseError(
            "a picture as RGB uint8 (H, W, 3)",
            f"shape {shape} and type {dtype}",
            "Read it with keras_pose.runtime.crop.load_image.",
        )
