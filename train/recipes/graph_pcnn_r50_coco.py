"""Graph-PCNN around SimpleBaseline with ResNet-50 on COCO key points, from ImageNet weights.

python train/train.py graph_pcnn_r50_coco --data DIR

Neither time nor result was measured here. The paper gives 72.6 AP on val2017 (its table 1), stage 1
alone 71.3, SimpleBaseline by itself 70.4, with the boxes of a detector and a flip test
(`--fusion mean`); at 128x96, with `--set network.input_size=(128,96)`, 64.6, 61.1 and 59.3.

Data and schedule are those of simple_baseline_r50_coco, as in the paper, with the same departures.
Stage 1 alone, of the trained file: `python train/evaluate.py best.keras --data DIR --output
heatmaps`. The base trained alone: `--set network.stages=1`. At 256x192 a batch of 128 makes 24,576
graphs of 17 points; on a smaller GPU take `--set batch_size=32 --set optimizer.rate=2.5e-4`.
"""

import dataclasses

from keras_pose.training.recipe import load

base = load("simple_baseline_r50_coco")
own = dict(base.network)
weights = own.pop("weights")
recipe = dataclasses.replace(
    base, builder="GraphPCNN", network={"base_arguments": own, "weights": weights}
)
