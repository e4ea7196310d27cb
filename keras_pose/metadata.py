"""The JSON inside a `.tflite`: all that a runtime must know to use the file.

It is appended as a zip entry, TFLite's own layout for associated files: the interpreter reads the
flatbuffer from the front, any zip reader gets the JSON from the back.
"""

import dataclasses
import io
import json
import os
import zipfile

from keras_pose import codecs
from keras_pose.errors import PoseError
from keras_pose.skeletons import Skeleton

ENTRY = "keras_pose.json"
VERSION = 1
OUTPUTS = ("decoded", "heads")
GROWN = 1.2  # of PoseFix's release: people reach beyond their key points
_PICTURE = ("image",)


@dataclasses.dataclass
class Metadata:
    """What a `.tflite` says of itself.

    skeleton, codec: the model's own objects; the codec holds the input size.
    crop_margin: a person's crop is the key points' extent times this (geometry.crop_box).
    output: "decoded" (`keypoints` (1, K, 2) normalised, `scores` (1, K)) or "heads" (the one
    tensor that the codec decodes, by the codec's name for it).
    precision: fp32, fp16, dynamic, int8 or int16x8; input_type: float32 or uint8, RGB, 0..255.
    grown: of what refines a pose, how many times as long as the extent of its key points the sides
    of a person's box are, to which crop_margin is added; as training found, else as released.
    threshold: the person score below which a runtime should show nothing.
    model: the builder's name; training: recipe, steps, commit; metrics: as measured at export.
    reads: names of the inputs; "pose" (1, K, 3) is refined: x and y normalised, and 1, or 0, 0, 0.
    """

    skeleton: Skeleton
    codec: codecs.Codec
    output: str = "decoded"
    precision: str = "fp32"
    input_type: str = "float32"
    crop_margin: float = 1.25
    grown: float = GROWN
    threshold: float = 0.3
    model: str = ""
    training: dict = dataclasses.field(default_factory=dict)
    metrics: dict = dataclasses.field(default_factory=dict)
    reads: tuple[str, ...] = _PICTURE

    @property
    def input_size(self) -> tuple[int, int]:
        """(H, W) of the network's input."""
        return self.codec.input_size

    def to_dict(self) -> dict:
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        if self.reads == _PICTURE:  # left out, so that older runtimes read the file
            del plain["reads"], plain["grown"]
        return {
            "keras_pose": VERSION,
            **plain,
            "skeleton": self.skeleton.to_dict(),
            "codec": self.codec.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: dict) -> "Metadata":
        values = dict(values)
        values.pop("keras_pose", None)
        values["skeleton"] = Skeleton.from_dict(values["skeleton"])
        values["codec"] = codecs.from_dict(values["codec"])
        values["reads"] = tuple(values.get("reads", _PICTURE))
        return cls(**values)


def attach(model: bytes, metadata: Metadata) -> bytes:
    """The bytes of a `.tflite` with the metadata appended (replacing what was there)."""
    buffer = io.BytesIO(strip(model))
    with zipfile.ZipFile(buffer, "a") as archive:
        entry = zipfile.ZipInfo(ENTRY)  # a fixed date: the same model gives the same bytes
        archive.writestr(entry, json.dumps(metadata.to_dict(), indent=1))
    return buffer.getvalue()


def strip(model: bytes) -> bytes:
    """The flatbuffer alone, without any appended metadata."""
    if not zipfile.is_zipfile(io.BytesIO(model)):
        return model
    with zipfile.ZipFile(io.BytesIO(model)) as archive:
        return model[: min(entry.header_offset for entry in archive.infolist())]


def read(path) -> Metadata:
    """The metadata of a `.tflite` file.

    Raises PoseError when the file is missing, is no `.tflite`, or carries no metadata.
    """
    path = os.fspath(path)
    try:
        with open(path, "rb") as file:
            model = file.read()
    except OSError as error:
        raise PoseError(
            "a readable .tflite file", f"{path} ({error.strerror})", "Check the path."
        ) from error
    if model[4:8] != b"TFL3":
        raise PoseError(
            "a TFLite flatbuffer",
            f"{path}, which does not begin like one",
            "Write one with convert/export.py.",
        )
    try:
        with zipfile.ZipFile(io.BytesIO(model)) as archive:
            values = dict(json.loads(archive.read(ENTRY)))
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError) as error:
        raise PoseError(
            "a .tflite with keras_pose metadata inside",
            f"{path} without it ({error})",
            "Export the model with convert/export.py, which writes skeleton and codec into it.",
        ) from error
    if values.get("keras_pose") != VERSION:
        raise PoseError(
            f"metadata of version {VERSION}",
            f"{path} with version {values.get('keras_pose')}",
            "Use the keras_pose that wrote the file, or export it again.",
        )
    try:
        return Metadata.from_dict(values)
    except PoseError as error:  # of a skeleton or codec, which do not know the file
        raise PoseError(error.expected, f"{error.received} in {path}", error.advice) from error
    except (KeyError, TypeError) as error:
        raise PoseError(
            f"metadata with the fields of version {VERSION}",
            f"{path} with others ({error})",
            "Export the model again with convert/export.py.",
        ) from error
