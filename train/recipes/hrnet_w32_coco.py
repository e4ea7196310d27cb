"""HRNet-W32 on COCO key points, from random weights.

python train/train.py hrnet_w32_coco --data DIR

246,000 steps of 128 persons: days on one GPU. Neither time nor result was measured here. The paper
gives 73.4 AP on val2017 from random weights and 74.4 from ImageNet's, which keras.applications does
not have, with the boxes of a detector and a flip test (`--fusion mean`). `--set network.width=48`
for the larger one.

Schedule and data as released (210 epochs, half bodies); simple_baseline_r50_coco's header lists the
departures, which are this recipe's too, but for the ResNet's.
"""

import dataclasses

from keras_pose.training.recipe import load

_base = load("simple_baseline_r50_coco")
recipe = dataclasses.replace(
    _base,
    builder="HRNet",
    network={"width": 32},
    # the crop clip(N(1, 0.35), 0.65, 1.35), the turn clip(N(0, 45), +-90) in 6 of 10
    augment=dataclasses.replace(
        _base.augment,
        scale=(1 / 1.35, 1 / 0.65),
        scale_spread=0.35,
        rotate=90.0,
        rotate_spread=45.0,
        half_body=0.3,
    ),
    optimizer=dataclasses.replace(_base.optimizer, boundaries=(170 / 210, 200 / 210)),
    epochs=210,
)
