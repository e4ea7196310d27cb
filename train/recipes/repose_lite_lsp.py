"""RePose-Lite S on Leeds Sports Pose Extended, from scratch, on a laptop.

python train/train.py repose_lite_lsp --data DIR

Expect 41 PCK@0.2 on the validation persons after about half an hour on two idle cores
(benchmarks/results/training.csv). `--set network.size=m` has five times the parameters and takes
nearly twice as long (benchmarks/results/throughput.csv).
"""

from keras_pose.data.augment import Augment
from keras_pose.training.recipe import Optimizer, Recipe

recipe = Recipe(
    builder="RePoseLite",
    network={"size": "s"},
    augment=Augment(scale=(0.75, 1.25), rotate=40.0, zoom_out=0.1, background=0.1),
    optimizer=Optimizer(rate=5e-3, warmup=200),
    epochs=36,
    batch_size=32,
    ema=0.998,
)
