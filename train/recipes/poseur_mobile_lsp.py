"""Poseur-Mobile on Leeds Sports Pose Extended: a regression network for phones.

python train/train.py poseur_mobile_lsp --data DIR

Time and result: not measured yet. From random weights, unless there are better ones:
`--set network.weights=imagenet`, or a MobileNetV2 trunk that was trained on poses, with its
normalisation folded in, which must then stay as it is:
`--set network.weights=FILE.npz --set network.frozen_norm=true`.

Half bodies are shown, and key points up to a quarter of the crop beyond its border are taught: a
network that predicts coordinates can see where a cut-off limb goes on.
"""

from keras_pose.data.augment import Augment
from keras_pose.training.recipe import Optimizer, Recipe

recipe = Recipe(
    builder="PoseurMobile",
    network={"input_size": (128, 128)},
    augment=Augment(scale=(0.75, 1.25), rotate=40.0, half_body=0.1, zoom_out=0.1, background=0.1),
    optimizer=Optimizer(name="adamw", rate=1e-3, warmup=200),
    epochs=24,
    batch_size=32,
    ema=0.998,
    reach=0.25,
)
