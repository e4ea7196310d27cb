"""Counts SimpleBaseline, HRNet, CPM, Graph-PCNN and PoseFix against their papers.

    python benchmarks/heatmap_counts.py

Prints expected, published and counted numbers, and writes benchmarks/results/heatmap_counts.csv.
Parameters are those that are trained; operations are multiply-adds of convolutions. "Expected" was
derived by hand from the layers' shapes. Leaves with status 1 when a count is more than 1 % off
that. What is published differs for known reasons: operations are in units of 2^30 there, and
SimpleBaseline's (8.9, 12.4 and 15.7, in HRNet's table) have every transposed convolution counted
once per value written, four times what it multiplies; together this gives 9.0, 12.4 and 15.8.
Graph-PCNN publishes no counts; its row "before refinement" is the base with the second copy of its
last stage, as training reads them. PoseFix is SimpleBaseline with one more channel of its first
convolution for every key point, 53,312 parameters with ResNets. A few minutes.
"""

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from published import Counter, Row, compared, report

from keras_pose.errors import command_line
from keras_pose.models import CPM, GraphPCNN, HRNet, PoseFix, SimpleBaseline
from keras_pose.models.counting import count

RESULTS = Path(__file__).parent / "results" / "heatmap_counts.csv"
BEFORE = "ResNet-50, before refinement"


def rows():
    """(builder, row): parameters in millions, multiply-adds in 10^9."""
    for depth, published, expected in (
        (50, (34.0, 8.9), (34.00, 5.427)),
        (101, (53.0, 12.4), (52.99, 9.063)),
        (152, (68.6, 15.7), (68.64, 12.700)),
    ):
        arguments = {"backbone": f"resnet{depth}"}
        yield SimpleBaseline, Row("SB", f"ResNet-{depth}", arguments, published, expected)
    for setting, arguments, expected in (  # the paper's table 2, b to d
        ("ResNet-50, 2 deconvolutions", {"deconvolutions": 2}, (32.951, 4.611)),
        ("ResNet-50, kernel 3", {"kernel": 3}, (29.412, 4.810)),
        ("ResNet-50, kernel 2", {"kernel": 2}, (26.135, 4.370)),
        ("MobileNetV2", {"backbone": "mobilenet_v2"}, (9.570, 1.565)),
    ):
        yield SimpleBaseline, Row("SB", setting, arguments, (None, None), expected)
    for width, published, expected in (
        (32, (28.5, 7.1), (28.54, 7.65)),
        (48, (63.6, 14.6), (63.60, 15.69)),
    ):
        yield HRNet, Row("HRNet", f"W{width}", {"width": width}, published, expected)
    for stages, expected in (
        (2, (11.90, None)),
        (3, (16.73, None)),
        (4, (21.56, None)),
        (5, (26.39, None)),
        (6, (31.22, 175.44)),
    ):
        setting = f"{stages} stages, 368x368"
        yield CPM, Row("CPM", setting, {"stages": stages}, (None, None), expected)
    for setting, expected in ((BEFORE, (59.45, 7.629)), ("ResNet-50", (63.19, 7.635))):
        yield GraphPCNN, Row("Graph-PCNN", setting, {}, (None, None), expected)
    for depth, expected in ((50, (34.05, 6.081)), (101, (53.05, 9.718)), (152, (68.69, 13.355))):
        arguments = {"backbone": f"resnet{depth}"}
        yield PoseFix, Row("PoseFix", f"ResNet-{depth}", arguments, (None, None), expected)
    mobile = {"backbone": "mobilenet_v2", "filters": 64, "pose_stride": 2, "skeleton": "lsp14"}
    yield PoseFix, Row("PoseFix", "MobileNetV2, on a phone", mobile, (None, None), (3.667, 0.427))


def lines():
    """Lines of the CSV."""
    counted = {b: Counter(b) for b in (SimpleBaseline, HRNet, CPM, GraphPCNN, PoseFix)}
    counted[BEFORE] = Counter(GraphPCNN, measure=lambda network: count(network.learner()))
    for builder, row in rows():
        counts = counted[row.setting if row.setting == BEFORE else builder](row.arguments)
        yield compared(row, counts.trainable, counts.multiply_adds)


@command_line
def main():
    report(lines(), RESULTS, __file__)


if __name__ == "__main__":
    main()
