"""PoseFix with ResNet-50 on COCO key points, from ImageNet weights.

python train/train.py posefix_r50_coco --data DIR

164,000 steps of 128 persons: a day or more on one GPU. Neither time nor result was measured here.
The paper refines CPN's poses on val2017 from 69.7 to 72.1 AP with this network (its figure 6 and
table 1). Input poses are drawn from the ground truth, so no estimator is needed; look at them with
`train/browse.py posefix_r50_coco --data DIR --poses`.

Data and schedule as released; departures:
- Keras' ImageNet weights are of a ResNet with the stride in the first 1x1 convolution, so that is
  what is built; the published counts are of `--set network.stride_in=3x3 --set
  network.weights=None`, from random weights
- what reads the pose begins at zero, not at random, so that the backbone begins as it was trained
- persons seen small and crops without anyone, a twentieth each, as in this project's other recipes
  (`--set augment.zoom_out=0 --set augment.background=0` to do without)
- averaged weights, no weight decay; key points that are not annotated have no input
- maps have this project's geometry (`--set network.corner=true` for the released one)
"""

import dataclasses

from keras_pose.training.recipe import load

_baseline = load("simple_baseline_r50_coco")
recipe = dataclasses.replace(
    _baseline,
    builder="PoseFix",
    network={"backbone": "resnet50", "stride_in": "1x1", "weights": "imagenet"},
    optimizer=dataclasses.replace(_baseline.optimizer, rate=5e-4),
)
