"""RePose as published (section 4), on Leeds Sports Pose Extended alone.

python train/train.py repose_lsp --data DIR

The paper trains on LSP and MPII together for 2 M steps of 64 pictures: days on one GPU, not
measured here. Its result on LSP's own test set is 91.7 PCK@0.2; with LSPET alone expect less.
"""

from keras_pose.data.augment import Augment
from keras_pose.training.recipe import Optimizer, Recipe

recipe = Recipe(
    builder="RePose",
    network={},
    augment=Augment(scale=(0.7, 1.3), rotate=60.0, color=0.3, zoom_out=0.05, background=0.05),
    # 1e-3, then 5e-4 from step 1 M and 1e-6 from step 1.3 M of 2 M
    optimizer=Optimizer(
        name="adam",
        rate=1e-3,
        warmup=0,
        schedule="steps",
        boundaries=(0.5, 0.65),
        factors=(0.5, 1e-3),
        clip=0.0,
    ),
    epochs=14286,  # 2 M steps of 64 on 8,989 persons
    batch_size=64,
    ema=0.9999,
)
