"""Layers of this project's own, and the small series of layers that networks are built from."""

from keras_pose.layers.blocks import conv_block, heatmap_block, series, upsample
from keras_pose.layers.linked import LinkedConv2D
from keras_pose.layers.scale import Scale

__all__ = ["LinkedConv2D", "Scale", "conv_block", "heatmap_block", "series", "upsample"]
