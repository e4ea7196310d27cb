"""Times COCO's key point evaluation on generated annotations, beside pycocotools.

python benchmarks/coco_speed.py [--pictures 5000] [--rounds 3]

Both are given the same annotations and results in memory, pycocotools as one uses it, from loading
the results to the summary. The rounds are interleaved; a ratio is of the two medians.
"""

import argparse
import contextlib
import copy
import io
import statistics
import time
from pathlib import Path

import numpy as np
import table

from keras_pose.errors import PoseError, command_line
from keras_pose.metrics.coco_ap import NAMES, average_precision
from keras_pose.metrics.coco_format import entry
from keras_pose.skeletons import COCO17

RESULTS = Path(__file__).resolve().parent / "results" / "coco_speed.csv"
_PERSONS, _FALSE = 2, 1  # on average in a picture: labelled persons, poses of nobody


def annotations(pictures, seed=0):
    """Ground truth and results as of a middling detector: two persons in a picture, some crowded,
    each found by none to three poses, and one pose where nobody is."""
    rng, count = np.random.default_rng(seed), COCO17.count
    persons, results = [], []
    for picture in range(1, pictures + 1):
        for _ in range(rng.poisson(_PERSONS)):
            box = np.concatenate([rng.uniform(0, 400, 2), rng.uniform(30, 300, 2)]).round(2)
            points = rng.uniform(box[:2], box[:2] + box[2:], (count, 2)).round()
            seen, crowd = rng.integers(0, 3, count), int(rng.random() < 0.03)
            seen = seen * (1 - crowd)
            labels = np.column_stack([points * (seen > 0)[:, None], seen])
            person = {
                "id": len(persons) + 1,
                "image_id": picture,
                "category_id": 1,
                "iscrowd": crowd,
                "area": float(0.53 * box[2] * box[3]),
                "bbox": box.tolist(),
                "num_keypoints": int((seen > 0).sum()),
                "keypoints": labels.ravel().tolist(),
            }
            persons.append(person)
            for _ in range(rng.integers(0, 4)):
                said = points + rng.normal(0, 0.05 * np.sqrt(box[2] * box[3]), (count, 2))
                results.append(entry(picture, 1, said, np.ones(count), rng.random()))
        for _ in range(rng.poisson(_FALSE)):
            said = rng.uniform(0, 400, (count, 2))
            results.append(entry(picture, 1, said, np.ones(count), rng.random() / 2))
    images = [{"id": picture} for picture in range(1, pictures + 1)]
    return {"images": images, "annotations": persons, "categories": [{"id": 1}]}, results


def reference(truth, results, sigmas=COCO17.sigmas):
    """The ten numbers, by pycocotools alone, as one uses it. It writes into what it is given."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        annotated = COCO()
        annotated.dataset = truth
        annotated.createIndex()
        evaluation = COCOeval(annotated, annotated.loadRes(results), "keypoints")
        evaluation.params.kpt_oks_sigmas = np.array(sigmas)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return dict(zip(NAMES, evaluation.stats.tolist(), strict=True))


def ours(truth, results):
    return average_precision(truth, results, COCO17.sigmas)


def measure(pictures, rounds):
    """One row of the table. Raises PoseError when the numbers are not the same."""
    truth, results = annotations(pictures)
    seconds, found = {reference: [], ours: []}, {}
    for _ in range(rounds):
        for way, times in seconds.items():
            given = copy.deepcopy((truth, results))
            start = time.perf_counter()
            found[way] = way(*given)
            times.append(time.perf_counter() - start)
    away = max(abs(found[ours][name] - found[reference][name]) for name in NAMES)
    if away > 1e-9:
        raise PoseError("the numbers of pycocotools", f"{away} beside them", "Report this.")
    slow, fast = (statistics.median(seconds[way]) for way in (reference, ours))
    return {
        "pictures": pictures,
        "persons": len(truth["annotations"]),
        "poses": len(results),
        "rounds": rounds,
        "AP": round(found[ours]["AP"], 6),
        "largest_difference": away,
        "pycocotools_seconds": round(slow, 2),
        "seconds": round(fast, 2),
        "times_faster": round(slow / fast, 2),
    }


@command_line
def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    measure(20, 1)  # imports
    row = measure(given.pictures, given.rounds)
    print("\n".join(f"{name}: {value}" for name, value in row.items()))
    table.write_with_command(RESULTS, [row], __file__)


if __name__ == "__main__":
    main()
