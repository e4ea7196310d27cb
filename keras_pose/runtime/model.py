"""A `.tflite` file in LiteRT, by its own description: what an estimator and a refiner share."""

import os

import numpy as np

from keras_pose import metadata, presets
from keras_pose.errors import PoseError
from keras_pose.skeletons import Skeleton


class PoseModel:
    """A pose network in LiteRT, from one patch to key points.

    reads: names of the inputs that the subclass feeds, the image first; `advice` says what else to
    open a file with that has others. Symbols: K key points, H x W the network's input.
    """

    reads: tuple[str, ...]
    advice: str

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
        self._inputs = self._named(runner.get_input_details(), path)
        self._image = self._inputs["image"]
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

    def _predict(self, patch, **extra):
        """Normalised key points (K, 2) and scores (K,) of a patch that has the right shape.

        extra: the other inputs by name, without the batch.
        """
        self._interpreter.set_tensor(
            self._image["index"], patch[None].astype(self._image["dtype"], copy=False)
        )
        for name, values in extra.items():
            self._interpreter.set_tensor(self._inputs[name]["index"], values[None])
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

    def _named(self, details, path):
        """The inputs by name; refuses a file with others. A lone one is the image, whatever its
        name."""
        if len(details) == len(self.reads) == 1:
            return {"image": next(iter(details.values()))}
        if sorted(details) != sorted(self.reads):
            raise PoseError(
                f"a .tflite that reads {' and '.join(self.reads)}",
                f"{path}, which reads {' and '.join(sorted(details))}",
                self.advice,
            )
        return details

    def _check(self, path):
        """Refuses a file whose tensors are not what its metadata says."""
        count, codec = self.skeleton.count, self.metadata.codec
        outputs = {
            "decoded": {"keypoints": (1, count, 2), "scores": (1, count)},
            "heads": {codec.head: (1, *codec.head_shape(count))},
        }.get(self.metadata.output)
        inputs = {"image": (1, *self.input_size, 3), "pose": (1, count, 3)}
        wanted = {**{name: inputs[name] for name in self.reads}, **(outputs or {})}
        found = {n: tuple(d["shape"]) for n, d in (self._outputs | self._inputs).items()}
        if not outputs or any(found.get(n) != shape for n, shape in wanted.items()):
            raise PoseError(
                f"tensors {wanted} for output {self.metadata.output!r} and {count} key points",
                f"{path} with {found}",
                "Export the model again with convert/export.py.",
            )

    def _check_patch(self, patch):
        """Refuses a patch of another shape or type than uint8 (H, W, 3)."""
        if patch.dtype != np.uint8 or patch.shape != (*self.input_size, 3):
            raise PoseError(
                f"a patch of shape {(*self.input_size, 3)} and type uint8",
                f"shape {patch.shape} and type {patch.dtype}",
                "Cut it with keras_pose.runtime.crop.cut(image, box, estimator.input_size).",
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
