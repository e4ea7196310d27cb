"""SimpleBaseline behind MobileNetV2, on Leeds Sports Pose Extended: the paper's method on a phone.

python train/train.py simple_baseline_mobile_lsp --data DIR --set network.weights=FILE.npz

Not measured. Everything but the network is that of repose_lite_m_lsp, so that the two can be
compared. FILE.npz is a MobileNetV2 trunk with its normalisation folded in; `backbone:FILE.keras`
takes the trunk of a network that was trained before. A quarter of the paper's filters, since its
256 would multiply four times as often as the trunk, and maps as distributions over the cells.
"""

import dataclasses

from keras_pose.training.recipe import load

recipe = dataclasses.replace(
    load("repose_lite_m_lsp"),
    builder="SimpleBaseline",
    network={
        "input_size": (192, 192), "backbone": "mobilenet_v2", "frozen_norm": True,
        "filters": 64, "loss": "softmax", "sigma": 6.0,
    },
)  # fmt: skip
