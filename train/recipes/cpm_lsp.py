"""CPM as released (six stages of 368 x 368), on Leeds Sports Pose Extended alone.

python train/train.py cpm_lsp --data DIR

600,000 steps of 16 pictures: days on one GPU. Neither time nor result was measured here. The
paper's result on LSP's own test set is 84.32 PCK@0.2, person-centric, after 11,000 training
pictures, with belief maps of seven scales averaged; with LSPET alone expect less.

Rates, decay, losses and augmentation are as released; departures:
- a crop is 1.25 times the extent of the annotated joints, as everywhere here: a person spans 294
  of 368 pixels. The release estimates a scale from the lengths of limbs; at scale 1 somebody
  upright is 234 pixels tall
- the middle of a crop is the middle of that extent, in training and testing. So nothing may move
  the person out of it (no shift, no zoom-out, no half bodies)
- a twentieth of the crops show no one, so that scores say whether there is somebody
  (`--set augment.background=0` to do without)
- key points that are not annotated cost nothing
- averaged weights
LSP labels one person per picture, so stage 1 is taught nobody else; on COCO and MPII it is.
"""

from keras_pose.data.augment import Augment
from keras_pose.training.recipe import Optimizer, Recipe

_STEPS, _EVERY = 600_000, 136_106

recipe = Recipe(
    builder="CPM",
    network={},
    augment=Augment(scale=(0.7, 1.3), rotate=40.0, shift=0.0, color=0.0, background=0.05),
    optimizer=Optimizer(
        name="sgd",
        rate=8e-5,
        warmup=0,
        schedule="steps",
        boundaries=tuple(i * _EVERY / _STEPS for i in (1, 2, 3, 4)),
        factors=tuple(0.333**i for i in (1, 2, 3, 4)),
        decay=5e-4,
        clip=0.0,
        momentum=0.9,
        rates=(("stage1_", 5.0), ("bias", 2.0)),
    ),
    epochs=1070,  # 600,000 steps of 16 on 8,989 persons
    batch_size=16,
    ema=0.9999,
)
