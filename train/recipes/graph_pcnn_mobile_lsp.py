"""Graph-PCNN around a small SimpleBaseline behind MoveNet's extractor, on Leeds Sports Pose.

python train/train.py graph_pcnn_mobile_lsp --data DIR --set network.weights=backbone:FILE.keras

FILE.keras is a network around a slim extractor; a preset's name, backbone:repose_lite_m_lsp14, does
as well. Behind a random one this recipe is refused. Not measured.

At 128x96, where the paper gains most. The base trained alone, for comparison: `--set
network.stages=1`. The ablations of the paper's table 2 and figure 5 are `--set
network.gating=agnostic` (or all, reliable), `--set network.shuffle=false`, `--set
network.proportion=(1,2,0)` and `--set network.points=96`; of the base, `--set
network.base_arguments.loss=mse` and the like.
"""

import dataclasses

from keras_pose.training.recipe import load

recipe = dataclasses.replace(
    load("repose_lite_s_lsp"),
    builder="GraphPCNN",
    network={
        "base": "SimpleBaseline", "input_size": (128, 96),
        "base_arguments": {
            "backbone": "movenet_slim", "frozen_norm": True, "level": 8, "deconvolutions": 1,
            "filters": 64, "loss": "softmax", "sigma": 4.0,
        },
        "channels": 64, "hidden": (64, 64),
    },
)  # fmt: skip
