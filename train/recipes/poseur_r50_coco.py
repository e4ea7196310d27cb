"""Poseur with ResNet-50 (section 4.1) on COCO key points, from ImageNet weights.

python train/train.py poseur_r50_coco --data DIR

190,000 steps of 256 persons: days on several GPUs. Neither time nor result was measured here. The
paper gives 75.4 AP on val2017 with 5 or 6 decoder layers and 74.7 with 3 (Table 1e), with the boxes
of a detector and a flip test (`--fusion weighted`); somebody who trained the release again reports
73.0. train/evaluate.py scores PCK, no command here gives COCO's AP yet.

Keras' ImageNet weights are of a ResNet with the stride in the first 1x1 convolution, so that is
what is built; the network of the published counts has it in the 3x3 convolution (`--set
network.stride_in=3x3 --set network.weights=None`, from random weights). Data
and schedule are as released; poseur_mobilenetv2_coco's header lists the departures, which are this
recipe's too.
"""

import dataclasses

from keras_pose.training.recipe import load

recipe = dataclasses.replace(
    load("poseur_mobilenetv2_coco"),
    network={
        "backbone": "resnet50",
        "stride_in": "1x1",
        "decoder_layers": 6,
        "weights": "imagenet",
    },
)
