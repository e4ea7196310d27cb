"""Poseur-Mobile behind MoveNet's feature extractor, on Leeds Sports Pose Extended.

python train/train.py poseur_mobile_lsp --data DIR --set network.weights=backbone:FILE.keras

FILE.keras is best.keras of repose_lite_m_lsp, slimmed as its recipe says, or that preset: an
extractor that has seen these persons.
From random weights: --set network.frozen_norm=false --set "optimizer.slow=('sampling_offsets',)".

The guess is the peak of heatmaps: on these few persons the paper's coarse branch learns more
slowly.

Measured: 67.0 PCK@0.2 and 41.0 PCK@0.1 on the validation persons, 47 minutes on two cores shared
with other jobs.

Half bodies are shown, and key points up to a quarter of the crop beyond its border are taught: a
network that predicts coordinates can see where a cut-off limb goes on.
"""

from keras_pose.data.augment import Augment
from keras_pose.training.recipe import Optimizer, Recipe

recipe = Recipe(
    builder="PoseurMobile",
    network={
        "input_size": (224, 224),
        "backbone": "movenet_slim",
        "frozen_norm": True,
        "levels": (4, 8, 16),  # the pyramid says most at its finest level
        "channels": 96,
        "initial": "heatmap",
        "map_weight": 1.0,
    },
    augment=Augment(scale=(0.75, 1.25), rotate=60.0, half_body=0.1, zoom_out=0.05, background=0.05),
    # an extractor with its normalisation folded in saturates at the full rate
    optimizer=Optimizer(
        rate=1.5e-3, warmup=200, slow=("sampling_offsets", "Conv", "block", "expanded_conv", "fpn")
    ),
    epochs=9,
    batch_size=64,
    ema=0.995,
    reach=0.25,
)  # fmt: skip
