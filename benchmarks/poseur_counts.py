"""Counts Poseur against its paper: tables 1d, 1e, 2a and 2b, and the supplement's table 3.

    python benchmarks/poseur_counts.py

Prints expected, published and counted numbers, and writes benchmarks/results/poseur_counts.csv.
Parameters are those that are trained, in the network alone unless a row says otherwise (the two
flows exist in training only); operations are multiply-adds of convolutions, dense layers and
sampling. "Expected" was derived by hand from the layers' shapes. Leaves with status 1 when a count
is more than 1 % off that. The paper also counts bilinear sampling, softmax and normalisations,
which is why its operations are a little above; no count gives the 32.3 M of its supplement for a
network whose 33.1 M its table 1e confirms. About a minute.
"""

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from published import Counter, Row, compared, report

from keras_pose.errors import command_line
from keras_pose.models import Poseur
from keras_pose.models.counting import count

RESULTS = Path(__file__).parent / "results" / "poseur_counts.csv"
FLOWS = "with both flows"
_MOBILE = {"backbone": "mobilenet_v2"}


def rows():
    """(paper, expected): parameters in millions, multiply-adds in 10^9."""
    for levels, published, expected in (
        ((32,), (28.3, 4.12), (28.323, 4.100)),
        ((16, 32), (28.7, 4.18), (28.660, 4.151)),
        ((8, 16, 32), (28.9, 4.28), (28.866, 4.253)),
        ((4, 8, 16, 32), (29.0, 4.48), (29.006, 4.456)),
    ):
        setting = f"strides {' '.join(map(str, levels))}, {FLOWS}"
        yield Row("1d", setting, {"levels": levels}, published, expected)
    for layers, published, expected in (
        (3, (28.8, 4.48), (28.90, 4.46)),
        (4, (30.2, 4.51), (30.31, 4.48)),
        (5, (31.6, 4.54), (31.73, 4.50)),
        (6, (33.1, 4.57), (33.15, 4.53)),
    ):
        yield Row("1e", f"layers {layers}", {"decoder_layers": layers}, published, expected)
    yield Row(
        "2a", "MobileNetV2, layers 5", _MOBILE | {"decoder_layers": 5}, (None, 0.52), (9.83, 0.462)
    )
    yield Row("2a", "ResNet-50, layers 5", {"decoder_layers": 5}, (None, 4.54), (31.73, 4.50))
    for size, published, expected in (
        ((64, 64), (28.8, 0.49), (28.90, 0.44)),
        ((128, 128), (28.8, 1.55), (28.90, 1.54)),
        ((256, 192), (28.8, 4.48), (28.90, 4.46)),
    ):
        yield Row("2b", f"input {size[0]}x{size[1]}", {"input_size": size}, published, expected)
    for shared, published, expected in ((False, 32.3, 33.256), (True, 26.2, 26.172)):
        arguments = {"decoder_layers": 6, "shared": shared}
        setting = f"{'shared' if shared else 'own'} weights, layers 6, {FLOWS}"
        yield Row("S3", setting, arguments, (published, None), (expected, 4.53))
    for layers, expected in ((6, (11.25, 0.486)), (12, (19.75, None))):
        arguments = _MOBILE | {"decoder_layers": layers}
        yield Row("release", f"MobileNetV2, layers {layers}", arguments, (None, None), expected)


def numbers(network):
    """(trained parameters of the network, those of the flows, multiply-adds)."""
    counts = count(network)
    flows = sum(weight.numpy().size for weight in network.criterion().trainable_weights)
    return counts.trainable, flows, counts.multiply_adds


def measure(row, counted):
    """A line of the CSV."""
    parameters, flows, work = counted(row.arguments)
    return compared(row, parameters + (flows if FLOWS in row.setting else 0), work)


@command_line
def main():
    counted = Counter(Poseur, measure=numbers)
    report((measure(row, counted) for row in rows()), RESULTS, __file__)


if __name__ == "__main__":
    main()
