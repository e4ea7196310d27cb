"""SimpleBaseline with ResNet-50 on COCO key points, from ImageNet weights.

python train/train.py simple_baseline_r50_coco --data DIR

164,000 steps of 128 persons: a day or more on one GPU. Neither time nor result was measured here.
The paper gives 70.4 AP on val2017 (its table 2, a), with the boxes of a detector and a flip test
(`--fusion mean`).

Data and schedule as released; departures:
- Keras' ImageNet weights are of a ResNet with the stride in the first 1x1 convolution, so that is
  what is built; the published counts are of `--set network.stride_in=3x3 --set
  network.weights=None`, from random weights
- persons seen small and crops without anyone, a twentieth each, so that scores say whether there is
  somebody (`--set augment.zoom_out=0 --set augment.background=0` to do without)
- averaged weights; transposed convolutions begin with Glorot's spread, not with 0.001; key points
  are read off the maps by a fit (`--set network.decoder=quarter` for the paper's rule)

ImageNet weights are downloaded by Keras; without a network, give their file:
`--set network.weights=FILE.h5`. A machine without float16 is quicker with
`--set precision=float32`.
"""

from keras_pose.data.augment import Augment
from keras_pose.training.recipe import Optimizer, Recipe

recipe = Recipe(
    builder="SimpleBaseline",
    network={"backbone": "resnet50", "stride_in": "1x1", "weights": "imagenet"},
    # the crop clip(N(1, 0.3), 0.7, 1.3), the turn clip(N(0, 40), +-80) in 6 of 10
    augment=Augment(
        scale=(1 / 1.3, 1 / 0.7),
        scale_spread=0.3,
        rotate=80.0,
        rotate_chance=0.6,
        rotate_spread=40.0,
        shift=0.0,
        flip=0.5,
        color=0.0,
        zoom_out=0.05,
        background=0.05,
    ),
    # 1e-3, from epoch 90 of 140 a tenth of it, from 120 a hundredth
    optimizer=Optimizer(
        name="adam",
        rate=1e-3,
        warmup=0,
        schedule="steps",
        boundaries=(90 / 140, 120 / 140),
        factors=(0.1, 0.01),
        clip=0.0,
    ),
    epochs=140,
    batch_size=128,
    crop_margin=1.25,
    precision="mixed_float16",
    workers=8,
)
