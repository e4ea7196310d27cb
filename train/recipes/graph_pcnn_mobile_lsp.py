r"""Graph-PCNN around a small SimpleBaseline behind MoveNet's extractor, on Leeds Sports Pose.

python train/train.py graph_pcnn_mobile_lsp --data DIR --out runs/base \
    --set network.stages=1 --set network.weights=backbone:FILE.keras
python train/train.py graph_pcnn_mobile_lsp --data DIR --set network.weights=runs/base/best.keras

FILE.keras is a network around a slim extractor; a preset's name, backbone:repose_lite_m_lsp14, does
as well. Behind a random one this recipe is refused. Both commands may be one, which begins with the
backbone and both stages; that was not measured.

Measured: 60.2 PCK@0.2 and 30.5 PCK@0.1 on the validation persons, 0.2 less as int8, and 60.7 and
30.6 with another seed, after eight epochs of the base alone and eight of both, 43 minutes on two
cores shared with other jobs. What stage 1 and DARK make of the same maps is in docs/graph_pcnn.md.

At 128x96, where the paper gains most, and with maps of stride 8, where a second stage has more to
add. Finer ones are `--set network.base_arguments.level=8 --set network.base_arguments.filters=64
--set network.base_arguments.sigma=4.0`.

The ablations of the paper's table 2 and figure 5 are `--set network.gating=agnostic` (or all,
reliable), `--set network.shuffle=false`, `--set network.proportion=(1,2,0)` and `--set
network.points=12`, as large a share of the map as the paper's; of the base, `--set
network.base_arguments.loss=mse` and the like.
"""

import dataclasses

from keras_pose.training.recipe import load

_lean = load("repose_lite_s_lsp")
recipe = dataclasses.replace(
    _lean,
    builder="GraphPCNN",
    network={
        "base": "SimpleBaseline", "input_size": (128, 96),
        "base_arguments": {
            "backbone": "movenet_slim", "frozen_norm": True, "level": 16, "deconvolutions": 1,
            "filters": 128, "loss": "softmax", "sigma": 8.0,
        },
        "channels": 128, "hidden": (128, 128), "points": 24,
        # the paper's 16 goes with a small squared error, and would drown stage 1's cross-entropy
        "offset_weight": 1.0,
    },
    # the extractor's pyramid at the full rate: its copy has to become something else
    optimizer=dataclasses.replace(_lean.optimizer, slow=("Conv", "block", "expanded_conv")),
    epochs=8,
)  # fmt: skip
