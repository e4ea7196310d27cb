"""The way back in: the feature extractor of MoveNet's published `.tflite`, to be trained further.

Such a file has no layers, only operations. Which convolution is whose is told by the kernels'
shapes in the order of execution: the shapes are those of `keras_pose.backbones.movenet`.
"""

import os

import keras
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_pose import backbones
from keras_pose.backbones import movenet
from keras_pose.errors import PoseError
from keras_pose.export import graph

_TYPES = {schema.TensorType.FLOAT16: np.float16, schema.TensorType.FLOAT32: np.float32}


def trunk(path) -> dict:
    """Arrays `<layer>/kernel` and `<layer>/bias`, float32, normalisation folded in: as an .npz,
    what `keras_pose.backbones.weights.load` fills a "movenet" backbone with.

    path: the `.tflite` of MoveNet Lightning, single pose, float16 or float32.

    Raises PoseError for a file that is missing, none of LiteRT's or of another network.
    """
    found, arrays = _convolutions(path), {}
    for layer, shape in _expected():
        at = next((i for i, (kernel, _) in enumerate(found) if kernel.shape == shape), None)
        if at is None:
            raise PoseError(
                f"MoveNet Lightning, with a convolution of shape {shape} for {layer}",
                f"{path}, without it",
                "Give the single pose version as float16 or float32; int8 has no such weights.",
            )
        arrays[f"{layer}/kernel"], arrays[f"{layer}/bias"] = found.pop(at)
    return arrays


def _expected():
    """Layers of the backbone with their kernels' shapes."""
    image = keras.Input((32, 32, 3))
    network = keras.Model(image, list(backbones.build(movenet.NAME, image).values()))
    return [(conv, tuple(network.get_layer(conv).kernel.shape)) for conv, _ in movenet.pairs()]


def _convolutions(path):
    """(kernel as Keras has it, bias) of each convolution with both, in the order of execution."""
    try:
        with open(os.fspath(path), "rb") as file:
            model = graph.read(file.read())
        operations = graph.operations(model)
    except OSError as error:
        raise PoseError("the .tflite of MoveNet Lightning", f"{path} ({error.strerror})",
                        "Check the path.") from error  # fmt: skip
    except Exception as error:  # flatbuffers raises whatever the bytes lead it to
        raise PoseError("the .tflite of MoveNet Lightning", f"{path}, which cannot be read",
                        "Copy it again.") from error  # fmt: skip
    # float16 constants reach their convolution through an operation that widens them
    widened = {
        op.operator.outputs[0]: op.operator.inputs[0]
        for op in operations
        if op.kind == "DEQUANTIZE"
    }
    found = []
    for op in operations:
        given = [i for i in op.operator.inputs[1:3] if i >= 0]  # a bias left out is -1 or absent
        if op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D") and len(given) == 2:
            kernel, bias = (_value(model, widened.get(i, i)) for i in given)
            if kernel is not None and bias is not None:
                found.append((kernel.transpose(1, 2, 3, 0), bias))  # channels first to last
    return found


def _value(model, index):
    tensor = model.subgraphs[0].tensors[index]
    data = model.buffers[tensor.buffer].data
    if data is None or tensor.type not in _TYPES:
        return None
    values = np.frombuffer(bytes(data), _TYPES[tensor.type]).astype(np.float32)
    return values.reshape(tensor.shape)
