"""What an exported file is made of, read from its flatbuffer, and what follows from it."""

import dataclasses
import re
from collections import Counter

from keras_pose import metadata
from keras_pose.export import graph, pixels

# what TensorFlow's and LiteRT's GPU delegates run; TOPK_V2 and ARG_MAX are not among them
_GPU = frozenset(
    """ABS ADD ADD_N AVERAGE_POOL_2D BATCH_MATMUL CAST CONCATENATION CONV_2D COS CUMSUM
    DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE DIV ELU EQUAL EXP FLOOR FLOOR_DIV FLOOR_MOD
    FULLY_CONNECTED GATHER GELU GREATER GREATER_EQUAL HARD_SWISH LEAKY_RELU LESS LESS_EQUAL LOG
    LOGISTIC MAXIMUM MAX_POOL_2D MEAN MINIMUM MIRROR_PAD MUL NEG NOT_EQUAL ONE_HOT PACK PAD PADV2
    POW PRELU QUANTIZE REDUCE_MAX REDUCE_MIN RELU RELU6 RESHAPE RESIZE_BILINEAR
    RESIZE_NEAREST_NEIGHBOR RSQRT SELECT SELECT_V2 SIN SLICE SOFTMAX SPACE_TO_DEPTH SPLIT SPLIT_V
    SQRT SQUARE SQUARED_DIFFERENCE STRIDED_SLICE SUB SUM TANH TILE TRANSPOSE TRANSPOSE_CONV
    """.split()  # noqa: SIM905
)
_FEW = 8  # islands that are named one by one
_BRIDGES = ("QUANTIZE", "DEQUANTIZE")
_INTEGERS = {"int8": ("int8", "uint8"), "int16x8": ("int16",)}


@dataclasses.dataclass
class Contents:
    """The operations of a `.tflite`.

    size: bytes. operations: {"CONV_2D int8": count}, by kind and by the type it computes.
    network, decode: how many operations come before and belong to the decode.
    coverage: percent of the network's operations on the format's integers, None for float formats.
    islands: "KIND name" of those that are not. foreign: kinds that are not TFLite's own.
    off_gpu: kinds that GPU delegates leave to the CPU; network_off_gpu: those of the network,
    which no output leaves out.
    """

    size: int
    operations: dict[str, int]
    network: int
    decode: int
    coverage: float | None
    islands: list[str]
    foreign: list[str]
    off_gpu: list[str]
    network_off_gpu: list[str]

    def verdicts(self) -> list[str]:
        """One line each on portability, integer coverage and phone GPUs."""
        lines = [
            "built-in operations only"
            if not self.foreign
            else f"NOT portable: needs {', '.join(self.foreign)}"
        ]
        if self.coverage is not None:
            lines.append(
                f"{self.coverage:.0f} % of the network's {self.network} operations on integers"
                + (f"; float: {_summary(self.islands)}" if self.islands else "")
            )
        return [*lines, self._on_phone_gpus()]

    def _on_phone_gpus(self):
        if not self.off_gpu:
            return "phone GPUs: all operations"
        line = f"phone GPUs: all but {', '.join(self.off_gpu)}"
        if not self.decode:
            return line
        if not self.network_off_gpu:
            return f"{line}; --output heads leaves decode out"
        return f"{line}; with --output heads, all but {', '.join(self.network_off_gpu)}"

    def text(self) -> str:
        size = f"{self.size / 1024:.0f} KiB; {self.network} operations"
        size += f" in the network, {self.decode} in the decoder"
        counts = ", ".join(f"{n} {kind}" for kind, n in self.operations.items())
        return "\n".join([size, counts, *self.verdicts()])


def contents(model: bytes, precision: str) -> Contents:
    """Reads the bytes of a `.tflite` (with or without metadata) of one format."""
    parsed = graph.read(metadata.strip(model))
    operations = graph.operations(parsed)
    start = pixels.normalisation(parsed)
    first = [id(op.operator) for op in start.operations] if start else []
    network = [
        op
        for op in operations
        if not op.decode and op.kind not in _BRIDGES and id(op.operator) not in first
    ]
    integers = _INTEGERS.get(precision)
    islands = [op for op in network if integers and not _computes_on(op, integers)]
    kinds = {op.kind for op in operations}
    return Contents(
        size=len(model),
        operations=dict(Counter(f"{op.kind} {op.outputs[0]}" for op in operations).most_common()),
        network=len(network),
        decode=sum(op.decode for op in operations),
        coverage=100 * (1 - len(islands) / len(network)) if integers else None,
        islands=[f"{op.kind} {op.name}" for op in islands],
        foreign=sorted(kinds & {"CUSTOM", "DELEGATE", "READ_VARIABLE", "VAR_HANDLE"}),
        off_gpu=_off_gpu(operations),
        network_off_gpu=_off_gpu(network),
    )


def _off_gpu(operations):
    kinds = {op.kind for op in operations}
    wide = any("64" in t for op in operations for t in op.inputs[:1] + op.outputs)
    return sorted(kinds - _GPU) + (["64-bit numbers"] if wide else [])


def _summary(islands):
    """Islands by their layers, "sampling (12), ..."; one by one where they are few."""
    if len(islands) <= _FEW:
        return ", ".join(islands)
    # "KIND layer_3/operation;...", the number being that of the layer's call
    names = [re.sub(r"_\d+$", "", island.split()[1].split("/")[0]) for island in islands]
    return ", ".join(f"{name} ({n})" for name, n in Counter(names).items())


def _computes_on(operation, types):
    return operation.inputs[0] in types and operation.outputs[0] in types
