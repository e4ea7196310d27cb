"""The table of formats that code, command-line help and documentation read."""

import dataclasses

from keras_pose.errors import PoseError

INPUTS = ("float", "uint8")
OUTPUTS = ("decoded", "heads")


@dataclasses.dataclass(frozen=True)
class Format:
    """One way to write the numbers of a `.tflite`.

    suffix: what a file name ends with by default. weights, activations: their types.
    calibrated: whether pictures are needed to find the ranges of activations.
    """

    name: str
    suffix: str
    weights: str
    activations: str
    calibrated: bool
    purpose: str


FORMATS = {
    f.name: f
    for f in (
        Format(
            "fp32", "_fp32.tflite", "float32", "float32", False,
            "the reference: equal to Keras within 0.05 px",
        ),
        Format(
            "fp16", "_fp16.tflite", "float16", "float32", False,
            "phone GPUs: half the size, the same key points",
        ),
        Format(
            "dynamic", "_dynamic.tflite", "int8", "float32", False,
            "a quarter of the size when no pictures are at hand to calibrate with",
        ),
        Format(
            "int8", "_int8.tflite", "int8", "int8", True,
            "phone and Raspberry Pi CPUs, NPUs: a quarter of the size and the fastest",
        ),
        Format(
            "int16x8", "_int16x8.tflite", "int8", "int16", True,
            "NPUs with 16-bit activations, where int8 loses too much; slow on a CPU",
        ),
    )
}  # fmt: skip


def get(name: str) -> Format:
    """The format of that name. Raises PoseError for any other."""
    return FORMATS[one_of("a format", name, FORMATS)]


def one_of(what: str, value: str, known):
    """`value`, if it is among the known ones. Raises PoseError otherwise."""
    if value not in known:
        raise PoseError(f"{what} among {', '.join(known)}", repr(value), "Choose one of them.")
    return value


def table() -> str:
    """The formats as lines of text."""
    rows = [("format", "weights", "activations", "calibration", "for")]
    rows += [
        (f.name, f.weights, f.activations, "yes" if f.calibrated else "no", f.purpose)
        for f in FORMATS.values()
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    return "\n".join(
        "  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[-1]])
        for row in rows
    )
