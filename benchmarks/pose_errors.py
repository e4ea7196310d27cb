"""What drawing PoseFix's input poses costs the host.

python benchmarks/pose_errors.py [--persons 128] [--rounds 100]

Batches of made-up persons with COCO's 17 key points among 0, 2 and 6 others, everything annotated.
Times are medians of the process's CPU time, the generators and the table of chances included; one
thread. Writes benchmarks/results/pose_errors.csv.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import table

from keras_pose.data.pose_error_inputs import generators
from keras_pose.data.pose_error_rates import chances
from keras_pose.data.pose_errors import synthesise
from keras_pose.errors import PoseError, command_line
from keras_pose.skeletons import COCO17

RESULTS = Path(__file__).resolve().parent / "results" / "pose_errors.csv"
OTHERS = (0, 2, 6)
_SIDE = 200.0  # pixels of the square that everybody is in


def seconds(persons, others, rounds):
    """CPU time of one batch, median."""
    rng, joints = np.random.default_rng(0), COCO17.count
    truth = rng.uniform(0, _SIDE, (persons, joints, 2))
    visible, area = np.ones((persons, joints), bool), np.full(persons, _SIDE**2 / 2)
    beside = np.ones((persons, others, joints, 3))
    beside[..., :2] = rng.uniform(0, _SIDE, (persons, others, joints, 2))
    times = []
    for epoch in range(rounds):
        start = time.process_time()
        likely = chances(COCO17, visible.sum(axis=1), np.full(persons, others))
        each = generators(0, epoch, range(persons))
        synthesise(truth, visible, area, beside, likely, COCO17, each)
        times.append(time.process_time() - start)
    return float(np.median(times))


@command_line
def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--persons", type=int, default=128, help="in a batch")
    parser.add_argument("--rounds", type=int, default=100, help="timed batches of each")
    given = parser.parse_args(arguments)
    if min(given.persons, given.rounds) < 1:
        raise PoseError("at least one person and one round", str(vars(given)), "Give more.")
    rows = []
    for others in OTHERS:
        taken = seconds(given.persons, others, given.rounds)
        row = {"others": others, "persons": given.persons, "milliseconds": f"{1e3 * taken:.1f}"}
        rows.append({**row, "persons_per_second": round(given.persons / taken)})
        print("  ".join(map(str, rows[-1].values())))
    table.write_with_command(RESULTS, rows, __file__)


if __name__ == "__main__":
    main()
