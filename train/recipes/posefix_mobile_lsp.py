r"""PoseFix behind MoveNet's extractor, on Leeds Sports Pose Extended: poses refined on a phone.

python train/train.py posefix_mobile_lsp --data DIR \
    --set network.weights=backbone:poseur_mobile_lsp14 \
    --set "frozen=('Conv','Conv1','bn','expanded','block')"

The pose is drawn as large as the maps, joins the extractor's finest level, and is carried on by
three blocks, so the extractor stays as good as other networks have made it: frozen but for its
pyramid it learns fast. As published, the pose would join before a MobileNetV2 with transposed
convolutions behind it: `--set network.backbone=mobilenet_v2 --set network.level=32 --set
network.deconvolutions=3 --set network.pose_stride=2 --set network.weights=FILE.npz`, a trunk with
its normalisation folded in. That was not measured.

Six of ten poses are the truth: the paper's errors alone do not teach that a right pose stays one.

What it does for the poses of others is in docs/posefix.md. Behind that are four runs, each from the
one before, of eleven epochs in all: pf0, pf1, pf2 and pf5 of benchmarks/results/training.csv, which
has their settings. This recipe in one go was not measured. Latencies are in benchmarks/results.
Augmentation and optimizer are those of repose_lite_m_lsp.
"""

import dataclasses

from keras_pose.training.recipe import load

recipe = dataclasses.replace(
    load("repose_lite_m_lsp"),
    builder="PoseFix",
    network={
        "input_size": (256, 192), "backbone": "movenet_slim", "frozen_norm": True, "level": 4,
        "deconvolutions": 0, "filters": 64, "pose_stride": 4, "blocks": 3,
    },
    intact=0.6,
    epochs=10,
)  # fmt: skip
