"""Poseur with MobileNetV2 (section 4.1) on COCO key points, from ImageNet weights.

python train/train.py poseur_mobilenetv2_coco --data DIR

190,000 steps of 256 persons: days on one GPU. Neither time nor result was measured here. The paper
gives 71.9 AP on val2017 (Table 2a, with 5 decoder layers: `--set network.decoder_layers=5`; the
release has 6), with the boxes of a detector and a flip test (`--fusion weighted`). That is the
paper's figure: train/evaluate.py scores PCK, no command here gives COCO's AP yet.

Data and schedule as released; departures:
- BatchNormalization's statistics are each replica's own (the release synchronises them)
- residual "laplace" (`--set network.residual=released` for the release's), and the score without
  the release's factor 0.7
- sampling offsets start from zero weights; biases, normalisation and embeddings are not decayed
- persons seen small and crops without anyone, a twentieth each, so that scores say whether there is
  somebody (`--set augment.zoom_out=0 --set augment.background=0` to do without)
- averaged weights; the preprocessing that Keras' weights expect

ImageNet weights are downloaded by Keras; without a network, give their file:
`--set network.weights=FILE.h5`. A machine without float16 is quicker with
`--set precision=float32`.
"""

from keras_pose.data.augment import Augment
from keras_pose.training.recipe import Optimizer, Recipe

recipe = Recipe(
    builder="Poseur",
    network={"backbone": "mobilenet_v2", "decoder_layers": 6, "weights": "imagenet"},
    # the crop clip(N(1, 0.5), 0.5, 1.5), the turn clip(N(0, 40), +-80) in 6 of 10
    augment=Augment(
        scale=(1 / 1.5, 2.0),
        scale_spread=0.5,
        rotate=80.0,
        rotate_chance=0.6,
        rotate_spread=40.0,
        shift=0.0,
        flip=0.5,
        color=0.0,
        half_body=0.3,
        zoom_out=0.05,
        background=0.05,
    ),
    optimizer=Optimizer(
        name="adamw",
        rate=1e-3,
        warmup=500,
        schedule="steps",
        boundaries=(255 / 325, 310 / 325),
        factors=(0.1, 0.01),
        decay=1e-4,
        clip=0.0,
        slow=("sampling_offsets", "reference_points"),
        slow_factor=0.1,
    ),
    epochs=325,
    batch_size=256,
    crop_margin=1.25,
    precision="mixed_float16",
    workers=8,
)
