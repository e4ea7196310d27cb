r"""PoseFix behind MoveNet's extractor, on Leeds Sports Pose Extended: poses refined on a phone.

python train/train.py posefix_mobile_lsp --data DIR \
    --set network.weights=backbone:repose_lite_m_lsp14

The result is not measured. The pose is drawn at half the picture's sides, and the extractor's
pyramid is as fine as the maps, so nothing is enlarged: as int8 it takes 0.50 of MoveNet Lightning's
time, in one thread (`python convert/benchmark.py movenet_lightning_fp16.tflite FILE.tflite
--threads 1`). As published it would be a MobileNetV2 with transposed convolutions behind it, 0.70
of that time with a quarter of the filters: `--set network.backbone=mobilenet_v2 --set
network.level=32 --set network.deconvolutions=3 --set network.weights=FILE.npz`, a trunk with its
normalisation folded in. That learned more slowly in short tries, since the pose reaches its maps
through the coarsest features alone.

Augmentation and optimizer are those of repose_lite_m_lsp; a trunk at the full rate was worse.
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
)  # fmt: skip
