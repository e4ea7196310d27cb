"""From pixels to a pose on a screen: LiteRT, numpy and OpenCV, never Keras or TensorFlow."""

from keras_pose.runtime.crop import cut, load_image
from keras_pose.runtime.drawing import caption, contact_sheet, draw
from keras_pose.runtime.estimator import PoseEstimator
from keras_pose.runtime.picture_files import PictureFiles
from keras_pose.runtime.refine_results import refine_results
from keras_pose.runtime.refiner import PoseRefiner
from keras_pose.runtime.smoothing import OneEuro
from keras_pose.runtime.still import find_person
from keras_pose.runtime.tracker import PoseTracker
from keras_pose.runtime.video import VideoSink, VideoSource

__all__ = [
    "OneEuro",
    "PictureFiles",
    "PoseEstimator",
    "PoseRefiner",
    "PoseTracker",
    "VideoSink",
    "VideoSource",
    "caption",
    "contact_sheet",
    "cut",
    "draw",
    "find_person",
    "load_image",
    "refine_results",
]
