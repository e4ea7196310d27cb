"""Counts RePose against its paper: every row of tables 3, 4, 6 and 7, and two ablations.

    python benchmarks/count_repose.py

Prints published value, expected count, measured count and relative difference, and writes
benchmarks/results/repose_counts.csv. "Expected" was derived by hand from the layers' shapes. Leaves
with status 1 when a measured number of parameters is not the expected one as far as that is
written out, or when operations are off by more than 0.5 %. About a minute.
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import table
from published import Counter, Row, cell, percent, verdict

from keras_pose.errors import command_line
from keras_pose.models import RePose
from keras_pose.models.counting import collision_chance

RESULTS = Path(__file__).parent / "results" / "repose_counts.csv"
BASE = (4_046_562, 4_022_626, 6.6987e9)  # parameters, of them trainable, multiply-adds
TOLERANCE = 0.005


def rows():
    """The paper's tables. Its text calls the sequential model "roughly" as large as the base."""
    for side, published, expected in (
        (8, (4.3, 12.4), (4.315, 12.371)),
        (16, (4.0, 13.5), (4.047, 13.458)),
        (32, (3.8, 17.8), (3.779, 17.814)),
    ):
        yield Row("3", f"coarsest {side}x{side}", {"coarsest": side}, published, expected)
    for blocks, published, expected in (
        (1, (3.3, 13.1), (3.259, 13.060)),
        (2, (3.5, 13.2), (3.522, 13.193)),
        (3, (3.8, 13.3), (3.784, 13.325)),
        (4, (4.0, 13.5), (4.047, 13.458)),
        (5, (4.3, 13.6), (4.309, 13.591)),
    ):
        yield Row("4", f"blocks {blocks}", {"update_blocks": blocks}, published, expected)
    for stages, published, expected, digits in (
        (1, (4.0, 13.5), (4.047, 13.458), 3),
        (2, (8.4, 29.4), (8.47, 29.45), 2),
        (4, (17.3, 61.4), (17.32, 61.43), 2),
    ):
        yield Row("6", f"stages {stages}", {"stacks": stages}, published, expected, digits)
    for side, sigma, published, expected in (
        (128, 5, (4.0, 13.5), (4.047, 13.458)),
        (128, 10, (4.0, 13.5), (4.047, 13.458)),
        (256, 5, (4.3, 49.5), (4.315, 49.483)),
        (256, 10, (4.3, 49.5), (4.315, 49.483)),
    ):
        arguments = {"input_size": (side, side), "sigma": sigma}
        yield Row("7", f"{side}x{side} sigma {sigma}", arguments, published, expected)
    yield Row("4.1", "joint heatmaps", {"joint_head": True}, (3.5, None), (3.526, None))
    yield Row("4.1", "sequential", {"kinematic": False}, (4.0, None), (4.047, None), 1)


def measure(row, counted):
    """A line of the CSV."""
    counts = counted(row.arguments)
    parameters, flops = counts.parameters / 1e6, counts.flops / 1e9
    ok = abs(parameters - row.expected[0]) <= 0.5 * 10**-row.digits
    if row.expected[1] is not None:
        ok &= abs(flops / row.expected[1] - 1) <= TOLERANCE
    return {
        "table": row.table,
        "setting": row.setting,
        "parameters_published_M": row.published[0],
        "parameters_expected_M": row.expected[0],
        "parameters": counts.parameters,
        "trainable": counts.trainable,
        "parameters_against_published_%": percent(parameters, row.published[0]),
        "gflops_published": row.published[1],
        "gflops_expected": row.expected[1],
        "gflops": round(flops, 3),
        "gmac": round(counts.multiply_adds / 1e9, 4),
        "gflops_against_published_%": percent(flops, row.published[1]),
        "as_expected": "yes" if ok else "NO",
    }


def check_base(counts):
    """True when the base model's counts are the ones it must have."""
    exact = (counts.parameters, counts.trainable) == BASE[:2]
    close = abs(counts.multiply_adds / BASE[2] - 1) <= TOLERANCE
    print(
        f"base model: {counts.parameters:,} parameters ({BASE[0]:,} expected), "
        f"{counts.trainable:,} trainable ({BASE[1]:,}), "
        f"{counts.multiply_adds / 1e9:.4f} GMAC ({BASE[2] / 1e9:.4f}): {verdict(exact and close)}"
    )
    return exact and close


def check_collisions():
    """True when footnote 3 comes out: the chance that two of 14 key points share a cell."""
    good = True
    for size, published in ((8, 0.78), (16, 0.30)):
        chance = collision_chance(size, 14)
        same = round(chance, 2) == published
        print(f"collision on {size}x{size}: {chance:.4f} ({published:.0%}): {verdict(same)}")
        good &= same
    return good


@command_line
def main():
    counted, lines = Counter(RePose, ignored=("sigma",)), []
    print(f"{'':26} {'parameters, millions':^36} {'operations, 10^9':^36}")
    print("table setting             " + " publ. expected measured diff.%     " * 2)
    for row in rows():
        line = measure(row, counted)
        lines.append(line)
        print(
            f"{row.table:<5} {row.setting:<20} {row.published[0]:>5} {row.expected[0]:>8} "
            f"{line['parameters'] / 1e6:>8.3f} {line['parameters_against_published_%']:>+6.2f} "
            f"{cell(row.published[1]):>10} {cell(row.expected[1]):>8} {line['gflops']:>8.3f} "
            f"{cell(line['gflops_against_published_%'], '+.2f'):>6}   {line['as_expected']}"
        )
    good = all(line["as_expected"] == "yes" for line in lines)
    good &= check_base(counted({}))
    good &= check_collisions()
    table.write(RESULTS, lines)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
