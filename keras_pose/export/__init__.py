"""Export: a trained network to a checked, self-describing `.tflite`."""

from keras_pose.export.calibrate import patches
from keras_pose.export.formats import FORMATS
from keras_pose.export.tflite import to_tflite

__all__ = ["FORMATS", "patches", "to_tflite"]
