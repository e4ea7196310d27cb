"""What a network costs: parameters, multiply-adds and operations, counted from its graph."""

import dataclasses
import math

from keras import layers

from keras_pose.errors import PoseError

_ELEMENTWISE_PER_CONV = 3  # bias, ReLU or normalisation's scale, its shift: per value written
_ELEMENTWISE_PER_BILINEAR = 8  # four products and their sums, with their weights


@dataclasses.dataclass(frozen=True)
class Counts:
    """parameters and trainable: numbers in the weights. multiply_adds: of convolutions and dense
    layers, for one picture. flops: twice these, plus elementwise work (see `count`)."""

    parameters: int
    trainable: int
    multiply_adds: int
    flops: int


def count(model) -> Counts:
    """Counts a functional Keras model at its static input size, batch 1.

    A layer called twice is counted twice, its weights once. `flops` adds, to twice the
    multiply-adds, 3 operations per value that a convolution writes (bias, activation and
    normalisation) and 8 per value of a bilinear enlargement, among them that of each intermediate
    heatmap to the size it is compared at: what RePose's published counts turn out to include.

    Raises PoseError for a layer with weights whose work is not known; a layer of one's own may
    have a method multiply_adds(inputs, outputs) from the call's tensors to an integer.
    """
    work = written = enlarged = 0
    for layer, inputs, outputs in _calls(model):
        work += _multiply_adds(layer, inputs, outputs)
        if hasattr(layer, "kernel") or hasattr(layer, "depthwise_kernel"):
            written += _values(outputs[0])
        if getattr(layer, "interpolation", None) == "bilinear":
            enlarged += _values(outputs[0])
    size = getattr(getattr(model, "codec", None), "map_size", None)
    if size:
        cells = math.prod(size)
        maps = [m for m in model.output.values() if tuple(m.shape[1:3]) != size]
        enlarged += sum(cells * m.shape[-1] for m in maps)
    return Counts(
        parameters=_size(model.weights),
        trainable=_size(model.trainable_weights),
        multiply_adds=work,
        flops=2 * work + _ELEMENTWISE_PER_CONV * written + _ELEMENTWISE_PER_BILINEAR * enlarged,
    )


def collision_chance(size: int, keypoints: int) -> float:
    """The chance that two of `keypoints` independent points fall into one cell of a size x size
    map: 1 - C(n^2, K) K! / n^(2K), footnote 3 of RePose."""
    cells = size * size
    return 1.0 - math.prod((cells - i) / cells for i in range(keypoints))


def _calls(model):
    """(layer, input tensors, output tensors) of each call in the graph, nested models opened."""
    for nodes in model._nodes_by_depth.values():
        for node in nodes:
            layer = node.operation
            if hasattr(layer, "_nodes_by_depth"):
                yield from _calls(layer)
            elif not isinstance(layer, layers.InputLayer):
                yield layer, node.input_tensors, node.output_tensors


def _multiply_adds(layer, inputs, outputs):
    if hasattr(layer, "multiply_adds"):
        return layer.multiply_adds(inputs, outputs)
    if isinstance(layer, _TRANSPOSED):
        return _positions(inputs[0]) * _size([layer.kernel])
    if isinstance(layer, (*_KERNELS, layers.Dense)):
        return _positions(outputs[0]) * _size([layer.kernel])
    if isinstance(layer, _SEPARABLE):
        kernels = [layer.depthwise_kernel, layer.pointwise_kernel]
        return _positions(outputs[0]) * _size(kernels)
    if any(len(weight.shape) > 1 for weight in getattr(layer, "weights", ())):
        raise PoseError(
            "layers whose multiply-adds are known",
            f"{layer.name}, a {type(layer).__name__}",
            "Give the layer a method multiply_adds(inputs, outputs).",
        )
    return 0


_KERNELS = (layers.Conv1D, layers.Conv2D, layers.Conv3D, layers.DepthwiseConv1D)
_KERNELS += (layers.DepthwiseConv2D,)
_TRANSPOSED = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)
_SEPARABLE = (layers.SeparableConv1D, layers.SeparableConv2D)


def _positions(tensor):
    """How many places a kernel is applied at: all axes but batch and channels."""
    return math.prod(tensor.shape[1:-1])


def _values(tensor):
    return math.prod(tensor.shape[1:])


def _size(weights):
    return sum(math.prod(weight.shape) for weight in weights)
