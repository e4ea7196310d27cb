"""RePose-Lite S behind MoveNet's feature extractor, on Leeds Sports Pose Extended.

python train/train.py repose_lite_s_lsp --data DIR --set network.weights=backbone:FILE.keras

FILE.keras is best.keras of repose_lite_m_lsp, whose extractor has seen these persons; a preset's
name, backbone:repose_lite_m_lsp14, does as well. Behind a random one this recipe is refused.

Measured: 66.2 PCK@0.2 and 38.1 PCK@0.1 on the validation persons after eight epochs and six more
from their best at a rate of 1.2e-3, 24 minutes on two cores shared with other jobs.
"""

from keras_pose.data.augment import Augment
from keras_pose.training.recipe import Optimizer, Recipe

recipe = Recipe(
    builder="RePoseLite",
    network={"size": "s", "backbone": "movenet_slim", "frozen_norm": True},
    augment=Augment(
        scale=(0.75, 1.25), rotate=60.0, half_body=0.05, zoom_out=0.05, background=0.05
    ),
    # an extractor with its normalisation folded in saturates at the full rate
    optimizer=Optimizer(rate=2e-3, warmup=200, slow=("Conv", "block", "expanded_conv", "fpn")),
    epochs=9,
    batch_size=64,
    ema=0.995,
)
