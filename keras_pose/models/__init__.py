"""Networks: functions named after their papers, each returning a PoseNetwork."""

from keras_pose.models.cpm import CPM
from keras_pose.models.cpm_mobile import CPMMobile
from keras_pose.models.end_to_end import EndToEnd
from keras_pose.models.graph_pcnn import GraphPCNN
from keras_pose.models.hrnet import HRNet
from keras_pose.models.network import PoseNetwork, load
from keras_pose.models.posefix import PoseFix
from keras_pose.models.poseur import Poseur
from keras_pose.models.poseur_mobile import PoseurMobile
from keras_pose.models.repose import RePose
from keras_pose.models.repose_lite import RePoseLite
from keras_pose.models.simple_baseline import SimpleBaseline

__all__ = [
    "CPM", "CPMMobile", "EndToEnd", "GraphPCNN", "HRNet", "PoseFix", "PoseNetwork", "Poseur",
    "PoseurMobile", "RePose", "RePoseLite", "SimpleBaseline", "load",
]  # fmt: skip
