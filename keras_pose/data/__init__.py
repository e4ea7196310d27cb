"""Readers of labelled pictures, augmentation draws and batches (numpy and OpenCV).

`pydataset` and `tfdata` hand the same batches to Keras and to TensorFlow; import them by name.
"""

from keras_pose.data.augment import Augment, Draw, draw
from keras_pose.data.batches import Loader
from keras_pose.data.open import open_reader
from keras_pose.data.sample import Sample
from keras_pose.data.skips import SkipLog

__all__ = ["Augment", "Draw", "Loader", "Sample", "SkipLog", "draw", "open_reader"]
