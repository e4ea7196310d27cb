"""Float `.tflite` to every other format: the one file that talks to litert-quantizer.

The network is quantized, the decode is not: int8 steps are far too coarse for a softmax over a
thousand cells or a coordinate, and the decode is cheap.
"""

import re
import subprocess
import sys

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from litert_quantizer import algorithm_manager, calibrator, quantizer, recipe_manager
from litert_quantizer.qtyping import TFLOperationName
from litert_quantizer.utils import qsv_utils

from keras_pose.errors import PoseError
from keras_pose.export import graph, pixels
from keras_pose.export.quiet import quiet

UINT8 = schema.TensorType.UINT8
_ALL = TFLOperationName.ALL_SUPPORTED
_LEAVE = algorithm_manager.AlgorithmName.NO_QUANTIZE
_CAST = algorithm_manager.AlgorithmName.FLOAT_CASTING
_WEIGHTED = (
    TFLOperationName.CONV_2D,
    TFLOperationName.CONV_2D_TRANSPOSE,
    TFLOperationName.DEPTHWISE_CONV_2D,
    TFLOperationName.FULLY_CONNECTED,
)
_DEAD = 1e-6  # the largest value of an activation that says nothing
_LOAD = """
import sys
from ai_edge_litert.interpreter import Interpreter
Interpreter(model_content=sys.stdin.buffer.read()).allocate_tensors()
"""


def half(model: bytes) -> bytes:
    """Weights in float16, widened when the file is loaded."""
    recipe = recipe_manager.RecipeManager()
    for kind in _WEIGHTED:
        recipe.add_weight_only_config(".*", kind, num_bits=16, algorithm_key=_CAST)
    return _quantized(model, recipe)


def dynamic(model: bytes) -> bytes:
    """Weights of convolutions, dense layers and batched products in int8, activations in float32
    between operations.

    Depthwise convolutions stay float: they hold few weights, and LiteRT has no fast kernel that
    quantizes their input as it comes.
    """
    recipe = recipe_manager.RecipeManager()
    recipe.add_dynamic_config(".*", TFLOperationName.CONV_2D, num_bits=8)
    changed = graph.read(model)
    _in_bytes(recipe, changed, graph.operations(changed))
    return _quantized(model, recipe)


def static(model: bytes, bits: int, samples, floats: tuple[str, ...] = ()) -> bytes:
    """Weights in int8 and activations in int8 or int16; the decode and both ends stay float32.

    floats: beginnings of the names of layers that stay in float too, but for the weights of their
    dense layers and batched products: int8, as in `dynamic`. A network says them
    (PoseNetwork.floats): coordinates, and what indices are made of, which in steps of 1/256 would
    name rows that do not exist.
    samples: what the inputs get, by name, `image` being uint8 (H, W, 3), each without the batch;
    from them the ranges of activations are taken. A range is the smallest and the largest value
    over all samples. The quantizer's own moving average forgets all
    but the last twenty: on a separable network with softmax heatmaps it lost 1.2 points of the key
    points within 4 px, the full range 0.1 to 0.5; on MobileNetV2 the two were the same. Cutting
    outliers off won nothing on either.
    Raises PoseError when LiteRT cannot load the result.
    """
    changed = graph.read(model)
    input_values = pixels.align(changed) if bits == 8 else pixels.normalisation(changed)
    model = graph.write(changed)
    recipe = recipe_manager.RecipeManager()
    recipe.add_static_config(".*", _ALL, activation_num_bits=bits, weight_num_bits=8)
    for end in (TFLOperationName.INPUT, TFLOperationName.OUTPUT):
        recipe.add_quantization_config(".*", end, algorithm_key=_LEAVE)
    islands = graph.of_layers(changed, floats)
    left = [op for op in graph.operations(changed) if op.decode] + islands
    left += input_values.operations if input_values else []
    if left:
        recipe.add_quantization_config(_named(left), _ALL, algorithm_key=_LEAVE)
    _in_bytes(recipe, changed, islands)
    subgraph = changed.subgraphs[0]
    pixel_type = np.uint8 if subgraph.tensors[graph.image(changed)].type == UINT8 else np.float32
    samples = ({**sample, "image": sample["image"].astype(pixel_type)} for sample in samples)
    ranges = _ranges(model, recipe, samples)
    if input_values:
        name = subgraph.tensors[input_values.output].name.decode()
        for end, value in zip(("min", "max"), input_values.range, strict=True):
            ranges[name][end] = np.full_like(ranges[name][end], value)
    model = _quantized(model, recipe, ranges)
    if pixel_type == np.uint8 and bits == 8:
        integer = graph.read(model)
        if pixels.take_bytes(integer):
            model = graph.write(integer)
    _load(model)
    return model


def _in_bytes(recipe, model, operations):
    """Asks for int8 weights of the dense layers and batched products (layers.graph) among the
    operations; products of two activations have none."""
    for kind in (TFLOperationName.FULLY_CONNECTED, TFLOperationName.BATCH_MATMUL):
        chosen = [
            op
            for op in operations
            if op.kind == kind.value and graph.constant(model, op.operator.inputs[1]) is not None
        ]
        if chosen:
            recipe.add_dynamic_config(_named(chosen), kind, num_bits=8)


def _named(operations):
    """The pattern of a recipe's scope for exactly these operations."""
    return f"^({'|'.join(re.escape(op.name) for op in operations)});"


def _load(model):
    """Loads a file as a phone would, in a process of its own: steps that are too far apart in size
    have ended LiteRT's without an exception."""
    done = subprocess.run([sys.executable, "-c", _LOAD], input=model, capture_output=True)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise PoseError(
            "a quantized network that LiteRT can load",
            f"{said[-1] if said else 'nothing'} (status {done.returncode})",
            "Calibrate with more pictures or train longer: layers that give next to nothing have "
            "no steps that fit. --format fp16 needs none.",
        )


def _ranges(model, recipe, samples):
    """{tensor name: {"min", "max"}} over all samples.

    An activation that is always 0 gets a range all the same: its step would be so small that LiteRT
    cannot load the file.
    """
    with quiet():
        watch = calibrator.Calibrator(
            memoryview(model), num_threads=1, qsv_update_func=qsv_utils.min_max_update
        )
        for sample in samples:
            fed = {name: value[None] for name, value in sample.items()}
            watch.calibrate({"serving_default": [fed]}, recipe)
        ranges = watch.get_model_qsvs()
    for found in ranges.values():
        if max(np.max(np.abs(end)) for end in found.values()) < _DEAD:
            found["max"] = np.ones_like(found["max"])
    return ranges


def _quantized(model, recipe, ranges=None):
    with quiet():
        worker = quantizer.Quantizer(bytearray(model), recipe.get_quantization_recipe())
        found = worker.quantize(ranges, enable_progress_report=False).quantized_model
    return graph.write(graph.read(bytes(found)))  # smaller
