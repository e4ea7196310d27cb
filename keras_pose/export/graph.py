"""Reading and editing the flatbuffer inside a `.tflite`.

A model here is the schema's object form (`ModelT`): `subgraphs[0]` has `tensors`, `operators`
(with indices into them) and `inputs`; constants lie in `buffers`.
"""

import dataclasses

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

_ALIGNMENT = 16  # bytes
DECODE = "decode"  # the name scope of the codec's operations
_KINDS = {v: k for k, v in vars(schema.BuiltinOperator).items() if not k.startswith("_")}
_TYPES = {v: k.lower() for k, v in vars(schema.TensorType).items() if not k.startswith("_")}


def read(model: bytes) -> schema.ModelT:
    """The object form of a `.tflite`'s bytes."""
    return flatbuffer_utils.read_model_from_bytearray(bytearray(model))


def write(model: schema.ModelT) -> bytes:
    """The bytes of the object form."""
    for buffer in model.buffers:
        if buffer.data is not None and len(buffer.data):
            buffer.data = np.frombuffer(bytes(buffer.data), np.uint8)
    builder = _Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


class _Builder(flatbuffers.Builder):
    """Writes weights at multiples of 16 bytes, as the schema asks, and equal zero points once: with
    8 bytes for every channel of every kernel and bias, nearly all 0, they are a ninth of an int8
    file of the quantizer's."""

    def __init__(self, size):
        super().__init__(size)
        self._places = {}

    def CreateNumpyVector(self, x):
        if x.dtype == np.uint8:
            self.Prep(_ALIGNMENT, x.size)
        if x.dtype != np.int64:
            return super().CreateNumpyVector(x)
        key = x.tobytes()
        if key not in self._places:
            self._places[key] = super().CreateNumpyVector(x)
        return self._places[key]


@dataclasses.dataclass(frozen=True)
class Operation:
    """One operator, named. `inputs` and `outputs` are the types of its tensors, constants too."""

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    decode: bool
    operator: schema.OperatorT = dataclasses.field(repr=False)


def operations(model: schema.ModelT) -> list[Operation]:
    """Every operator in the order of execution."""
    graph = model.subgraphs[0]
    ends = set() if _is_head(model) else set(graph.outputs)

    def types(indices):
        return tuple(_TYPES[graph.tensors[i].type] for i in indices if i >= 0)

    found = []
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        kind = _KINDS[max(code.builtinCode, code.deprecatedBuiltinCode)]
        names = [graph.tensors[i].name.decode() for i in operator.outputs]
        decode = names[0].startswith(f"{DECODE}/") or not ends.isdisjoint(operator.outputs)
        found.append(
            Operation(
                kind, names[0], types(operator.inputs), types(operator.outputs), decode, operator
            )
        )
    return found


def of_layers(model: schema.ModelT, prefixes: tuple[str, ...]) -> list[Operation]:
    """The operations of layers whose names begin so, and the one that writes the output, which
    the converter names anew; none where there are no prefixes."""
    ends = set(model.subgraphs[0].outputs)
    return [
        op
        for op in operations(model)
        if op.name.startswith(prefixes) or (prefixes and not ends.isdisjoint(op.operator.outputs))
    ]


def _is_head(model):
    """Whether the file returns what a codec decodes: its last operation is the network's own."""
    outputs = model.signatureDefs[0].outputs if model.signatureDefs else []
    return len(outputs) == 1


def image(model: schema.ModelT) -> int:
    """The tensor of the picture: the signature's input of that name, or the only one there is."""
    named = model.signatureDefs[0].inputs if model.signatureDefs else []
    places = {bytes(t.name): t.tensorIndex for t in named}
    return places.get(b"image", model.subgraphs[0].inputs[0])


def constant(model: schema.ModelT, index: int) -> np.ndarray | None:
    """The value of a constant float32 tensor, None for any other tensor."""
    tensor = model.subgraphs[0].tensors[index]
    data = model.buffers[tensor.buffer].data
    if data is None or len(data) == 0 or tensor.type != schema.TensorType.FLOAT32:
        return None
    return np.frombuffer(bytes(data), np.float32)


def add_scalar(model: schema.ModelT, value: float, name: str) -> int:
    """Appends a constant float32 scalar and returns its tensor index."""
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(np.float32(value).tobytes(), np.uint8)
    model.buffers.append(buffer)
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type = name.encode(), [], schema.TensorType.FLOAT32
    tensor.buffer = len(model.buffers) - 1
    model.subgraphs[0].tensors.append(tensor)
    return len(model.subgraphs[0].tensors) - 1
