"""Poseur-Mobile behind MoveNet's feature extractor, on Leeds Sports Pose Extended.

python train/train.py poseur_mobile_lsp --data DIR --set network.weights=backbone:FILE.keras

FILE.keras is best.keras of repose_lite_m_lsp, whose extractor has seen these persons. A preset's
name behind `backbone:` does as well, and so does what train/movenet.py writes, FILE.npz alone.
From random weights: --set network.frozen_norm=false --set "optimizer.slow=('sampling_offsets',)".

Half bodies are shown, and key points up to a quarter of the crop beyond its border are taught: a
network that predicts coordinates can see where a cut-off limb goes on.
"""

from keras_pose.data.augment import Augment
from keras_pose.training.recipe import Optimizer, Recipe

recipe = Recipe(
    builder="PoseurMobile",
    network={"input_size": (192, 192), "backbone": "movenet_slim", "frozen_norm": True},
    augment=Augment(scale=(0.75, 1.25), rotate=60.0, half_body=0.1, zoom_out=0.05, background=0.05),
    # an extractor with its normalisation folded in saturates at the full rate
    optimizer=Optimizer(
        rate=1e-3, warmup=200, slow=("sampling_offsets", "Conv", "block", "expanded_conv", "fpn")
    ),
    epochs=11,
    batch_size=64,
    ema=0.995,
    reach=0.25,
)  # fmt: skip
