"""Metrics as pure numpy functions."""

from keras_pose.metrics.pck import head, pck, torso
from keras_pose.metrics.presence import auc, threshold

__all__ = ["auc", "head", "pck", "threshold", "torso"]
