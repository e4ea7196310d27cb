"""How much of the picture a layer sees, worked out from a network's graph."""

import math
from fractions import Fraction

from keras import layers

from keras_pose.errors import PoseError
from keras_pose.layers.center import CenterMap, FirstChannels

_KERNELS = (layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D)
_POOLS = (layers.MaxPooling2D, layers.AveragePooling2D)
_TAPS = {"nearest": 1, "bilinear": 2}  # values along an axis that an enlarged one is made of
_BORDERS = (layers.ZeroPadding2D, layers.Cropping2D)  # what is left keeps its neighbours
_POINTWISE = (
    layers.Activation, layers.ReLU, layers.LeakyReLU, layers.PReLU, layers.ELU,
    layers.BatchNormalization, layers.Rescaling, layers.Normalization, layers.Identity,
    layers.Dropout, layers.SpatialDropout2D, layers.GaussianNoise,
    layers.Add, layers.Subtract, layers.Multiply, layers.Average, layers.Maximum, layers.Minimum,
    layers.Concatenate, CenterMap, FirstChannels,
)  # fmt: skip


def receptive_fields(model) -> dict[str, int]:
    """Side in input pixels of the square that a value of each layer depends on, by layer name.

    model: a functional Keras model of one input (B, H, W, C). Borders are not looked at: it is the
    side far from them. Where branches meet, the largest counts.
    Raises PoseError for a layer or operation that is not known here: what it reads is not either.
    """
    reach = {id(tensor): (1, 1) for tensor in model.inputs}  # field and step, in input pixels
    fields = {}
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            layer = node.operation
            if isinstance(layer, layers.InputLayer):
                continue
            given = [reach[id(tensor)] for tensor in node.input_tensors]
            field, step = _through(node, max(f for f, _ in given), max(s for _, s in given))
            reach.update({id(tensor): (field, step) for tensor in node.output_tensors})
            fields[layer.name] = math.ceil(field)
    return fields


def _through(node, field, step):
    layer = node.operation
    if isinstance(layer, _KERNELS):
        sides = [(k - 1) * d for k, d in zip(layer.kernel_size, layer.dilation_rate, strict=True)]
        return field + max(sides) * step, step * max(layer.strides)
    if isinstance(layer, _POOLS):
        return field + (max(layer.pool_size) - 1) * step, step * max(layer.strides)
    if isinstance(layer, layers.UpSampling2D) and layer.interpolation in _TAPS:
        return field + (_TAPS[layer.interpolation] - 1) * step, Fraction(step) / max(layer.size)
    sizes = {tensor.shape[1:3] for tensor in (*node.input_tensors, *node.output_tensors)}
    if isinstance(layer, _BORDERS) or (isinstance(layer, _POINTWISE) and len(sizes) == 1):
        return field, step
    raise PoseError(
        "layers of which it is known what square of their input they see",
        f"{layer.name}, a {type(layer).__name__}",
        "Look at the part of the network before it.",
    )
