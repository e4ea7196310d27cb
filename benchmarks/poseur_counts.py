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
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import table
from published import Counter, Row, cell, percent

from keras_pose.errors import command_line
from keras_pose.models import Poseur
from keras_pose.models.counting import count

RESULTS = Path(__file__).parent / "results" / "poseur_counts.csv"
TOLERANCE = 0.01
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
    parameters += flows if FLOWS in row.setting else 0
    found = (parameters / 1e6, work / 1e9)
    off = [percent(value, wanted) for value, wanted in zip(found, row.expected, strict=True)]
    return {
        "table": row.table,
        "setting": row.setting,
        "parameters_expected_M": row.expected[0],
        "parameters_published_M": row.published[0],
        "parameters": parameters,
        "parameters_difference_%": off[0],
        "parameters_against_published_%": percent(found[0], row.published[0]),
        "gmac_expected": row.expected[1],
        "gmac_published": row.published[1],
        "gmac": round(found[1], 4),
        "gmac_difference_%": off[1],
        "gmac_against_published_%": percent(found[1], row.published[1]),
        "within_1_%": "yes" if all(o is None or abs(o) <= 100 * TOLERANCE for o in off) else "NO",
    }


@command_line
def main():
    counted, lines = Counter(Poseur, measure=numbers), []
    head = " expected publ. counted diff.% "
    print(f"{'table setting':48}{head + '(millions)':>44}{head + '(GMAC)':>40}")
    for row in rows():
        line = measure(row, counted)
        lines.append(line)
        print(
            f"{row.table:8}{row.setting:40}"
            f"{cell(row.expected[0]):>8} {cell(row.published[0]):>6} "
            f"{line['parameters'] / 1e6:>8.3f} {line['parameters_difference_%']:>+6.2f}     "
            f"{cell(row.expected[1]):>8} {cell(row.published[1]):>6} {line['gmac']:>8.3f} "
            f"{cell(line['gmac_difference_%'], '+.2f'):>6}   {line['within_1_%']}"
        )
    table.write_with_command(RESULTS, lines, __file__)
    sys.exit(0 if all(line["within_1_%"] == "yes" for line in lines) else 1)


if __name__ == "__main__":
    main()
