"""Layers of this project's own, and the small series of layers that networks are built from."""

from keras_pose.layers.attention import HeadAttention
from keras_pose.layers.blocks import conv_block, heatmap_block, series, upsample
from keras_pose.layers.deformable import HeadProjection, Sampling, table
from keras_pose.layers.direction import DirectionDense
from keras_pose.layers.encoding import GridEncoding, SineEncoding
from keras_pose.layers.integral import HeatmapPeaks, SoftArgmax
from keras_pose.layers.linked import LinkedConv2D
from keras_pose.layers.noise import NoisyReferences
from keras_pose.layers.pose_maps import PoseMaps
from keras_pose.layers.scale import Scale

__all__ = [
    "DirectionDense",
    "GridEncoding",
    "HeadAttention",
    "HeadProjection",
    "HeatmapPeaks",
    "LinkedConv2D",
    "NoisyReferences",
    "PoseMaps",
    "Sampling",
    "Scale",
    "SineEncoding",
    "SoftArgmax",
    "conv_block",
    "heatmap_block",
    "series",
    "table",
    "upsample",
]
