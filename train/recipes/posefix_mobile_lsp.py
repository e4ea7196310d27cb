"""PoseFix behind MobileNetV2, on Leeds Sports Pose Extended: anybody's poses refined on a phone.

python train/train.py posefix_mobile_lsp --data DIR --set network.weights=FILE.npz

Not measured. FILE.npz is a MobileNetV2 trunk with its normalisation folded in;
`backbone:FILE.keras` takes the trunk of a network that was trained before. A quarter of the paper's
filters, and the pose drawn at half the picture's sides: as int8 it takes 0.70 of MoveNet
Lightning's time, in one thread (`python convert/benchmark.py movenet_lightning_fp16.tflite
FILE.tflite --threads 1`). Behind MoveNet's extractor, whose pyramid is as fine as the maps, it
needs no enlargement at all and takes 0.50: `--set network.backbone=movenet_slim --set
network.level=4 --set network.deconvolutions=0 --set
network.weights=backbone:repose_lite_m_lsp14`.

Augmentation and optimizer are those of repose_lite_m_lsp.
"""

import dataclasses

from keras_pose.training.recipe import load

recipe = dataclasses.replace(
    load("repose_lite_m_lsp"),
    builder="PoseFix",
    network={
        "input_size": (256, 192), "backbone": "mobilenet_v2", "frozen_norm": True,
        "filters": 64, "pose_stride": 2,
    },
)  # fmt: skip
