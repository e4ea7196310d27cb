"""Metrics as pure numpy functions."""

from keras_pose.metrics.pck import head, mpii_names, mpii_rows, pck, torso
from keras_pose.metrics.presence import auc, threshold

__all__ = ["auc", "head", "mpii_names", "mpii_rows", "pck", "threshold", "torso"]
