"""How pixels enter an integer `.tflite` without cost or loss.

A network begins with value = scale * pixel + offset (say pixel / 127.5 - 1). An int8 tensor means
value = step * (code - zero). With step = scale, every one of the 256 pixel values has its own
code, provided that a pixel value, not a point half-way between two, stands for 0; so the offset is
moved by at most half a grey level. Then code = pixel - 128 exactly, and a uint8 input needs no
arithmetic at all: the bytes are the codes.
"""

import dataclasses

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_pose.export import graph

_ARITHMETIC = ("MUL", "DIV", "ADD", "SUB")


@dataclasses.dataclass
class Normalisation:
    """value = scale * pixel + offset, as the operations at the input compute it.

    output: index of the tensor of values. operations: those of the flatbuffer.
    """

    scale: float
    offset: float
    output: int
    operations: list[graph.Operation]

    @property
    def zero(self) -> int:
        """The pixel value that stands for 0."""
        return round(-self.offset / self.scale)

    @property
    def range(self) -> tuple[float, float]:
        """The values of pixels 0 and 255."""
        return self.offset, self.scale * 255 + self.offset


def normalisation(model: schema.ModelT) -> Normalisation | None:
    """What is done to the pixels first: a cast, additions and multiplications by one number each.

    It may be nothing at all. None when 0 is not among the values that it makes of 0..255.
    """
    tensor = graph.image(model)
    scale, offset, chain, operations = 1.0, 0.0, [], graph.operations(model)
    while True:
        # others may run before them, as those of a pose beside the picture
        readers = [op for op in operations if tensor in op.operator.inputs]
        if len(readers) != 1 or readers[0].operator.inputs[0] != tensor:
            break
        operation = readers[0]
        if operation.kind in _ARITHMETIC:
            value = _operand(model, operation)
            if value is None:
                break
            scale, offset = _apply(operation.kind, value, scale, offset)
        elif operation.kind != "CAST":
            break
        chain.append(operation)
        tensor = operation.operator.outputs[0]
    inside = scale > 0 and 0 <= -offset <= 255 * scale
    return Normalisation(scale, offset, tensor, chain) if inside else None


def _operand(model, operation):
    """The one number that an operation adds or multiplies by, None when it is something else."""
    value = graph.constant(model, operation.operator.inputs[1])
    return None if value is None or value.size != 1 else float(value[0])


def _apply(kind, value, scale, offset):
    match kind:
        case "MUL":
            return scale * value, offset * value
        case "DIV":
            return scale / value, offset / value
        case "ADD":
            return scale, offset + value
        case _:
            return scale, offset - value


def align(model: schema.ModelT) -> Normalisation | None:
    """Moves the offset so that a whole pixel value stands for 0; changes `model`."""
    found = normalisation(model)
    if found is None or np.isclose(-found.offset / found.scale, found.zero, atol=1e-3):
        return found
    last = [op for op in found.operations if op.kind in ("ADD", "SUB")][-1]
    gain = 1.0
    for operation in found.operations[found.operations.index(last) + 1 :]:
        gain, _ = _apply(operation.kind, _operand(model, operation), gain, 0.0)
    change = (-found.zero * found.scale - found.offset) / gain
    old = _operand(model, last)
    new = old + change if last.kind == "ADD" else old - change
    # a new constant: the old one may be shared with other operations
    last.operator.inputs[1] = graph.add_scalar(model, new, f"{last.name}/aligned")
    return normalisation(model)


def take_bytes(model: schema.ModelT) -> bool:
    """Makes the bytes of a uint8 input the first int8 tensor of a quantized model.

    Removes the cast and the float normalisation; changes `model`. False, with nothing changed,
    where something other than a QUANTIZE to int8 reads the normalised values, and where its codes
    are not the pixels', as where the picture shares them with maps of another range.
    """
    found = normalisation(model)
    readers = [op for op in graph.operations(model) if found and found.output in op.operator.inputs]
    if not readers or any(op.kind != "QUANTIZE" or op.outputs != ("int8",) for op in readers):
        return False
    subgraph = model.subgraphs[0]
    if not all(
        _codes_are_pixels(subgraph.tensors[op.operator.outputs[0]], found) for op in readers
    ):
        return False
    pixels = graph.image(model)
    image = subgraph.tensors[pixels]
    for reader in readers:
        reader.operator.inputs = [pixels]
    codes = subgraph.tensors[readers[0].operator.outputs[0]].quantization
    image.quantization = schema.QuantizationParametersT()
    image.quantization.scale = np.array(codes.scale, np.float32)
    image.quantization.zeroPoint = np.array(codes.zeroPoint, np.int64) + 128
    gone = [id(op.operator) for op in found.operations]
    subgraph.operators = [op for op in subgraph.operators if id(op) not in gone]
    return True


def _codes_are_pixels(tensor, found):
    codes = tensor.quantization
    return np.allclose(codes.scale, found.scale, rtol=1e-4) and list(codes.zeroPoint) == [
        found.zero - 128
    ]
