"""Does PoseFix help: PCK, kinds of errors and time of estimators before and after it.

    python benchmarks/posefix_helps.py --model M --estimators A B C --data DIR [--limit N] [--smoke]

Each estimator looks at the validation persons in their annotated crops, and --model refines what it
says, in crops around that. Of an estimator with other key points, as MoveNet, those count that the
data have too, and the others are missing in its poses. Two rows more are of errors drawn as in
training, and of the ground truth, which should stay as it is. PCK is of `persons`, who have a
torso to measure by; errors are counted key points of each kind (train/diagnose.py), of those
`diagnosed`, who have a size. latency_ratio is the refiner's time over the estimator's, where both
are .tflite files, interleaved on one thread.

Writes posefix_helps.csv, posefix_errors.csv with the kinds of errors at each key point, and a
picture of these for each estimator (PoseFix's figure 8).
"""

import re
from pathlib import Path

import refined
import table

from keras_pose import presets
from keras_pose.errors import command_line
from keras_pose.export.quiet import quiet


def row(one, reader, diagnoses):
    """A line of the table of a refined.Refined; diagnoses: its two."""
    from keras_pose.metrics.diagnosis import CLASSES

    report = one.report
    line = {
        "poses": one.name, "persons": report.persons - report.left_out,
        "diagnosed": len(diagnoses[0].codes), "key_points": len(one.only), "empty": report.unposed,
    }  # fmt: skip
    line |= one.pck()
    for code, kind in enumerate(CLASSES):
        before, after = (int((d.codes == code).sum()) for d in diagnoses)
        line |= {f"before_{kind}": before, kind: after}
    return line


def plain(name) -> str:
    """An estimator's name as part of a file's."""
    return re.sub(r"\W+", "_", name)


def ratios(model, files, rounds):
    """The refiner's median time over each file's, None for what is no .tflite."""
    from keras_pose.runtime import benchmark

    timed = [path for path in files if path is not None and path.suffix == ".tflite"]
    if not timed or Path(model).suffix != ".tflite":
        return [None] * len(files)
    own, *others = benchmark.compare([model, *timed], threads=1, rounds=rounds)
    medians = {path: other.median for path, other in zip(timed, others, strict=True)}
    return [round(own.median / medians[f], 3) if f in medians else None for f in files]


@command_line
def main(arguments=None):
    parser = refined.parser(__doc__.splitlines()[0], "runs/posefix_smoke")
    parser.add_argument("--rounds", type=int, default=100, help="timed runs of each")
    given = parser.parse_args(arguments)
    with quiet():  # TensorFlow greets from C++
        from keras_pose.training import diagnosis_report
    refiner, estimators, reader, limit, results = refined.opened(given)
    found = list(refined.of_estimators(refiner, estimators, reader, limit))
    found.append(refined.refined(refiner, reader, refined.DRAWN, limit=limit))
    found.append(refined.refined(refiner, reader, refined.TRUTH, refined.true(reader), limit=limit))
    rounds = 3 if given.smoke else given.rounds
    model = presets.resolve(given.model) if given.model else Path()
    rows, every = [], []
    times = ratios(model, [one.file for one in found], rounds)
    for one, time in zip(found, times, strict=True):
        diagnoses = one.diagnoses(reader)
        every += diagnoses
        rows.append({**row(one, reader, diagnoses), "latency_ratio": time})
        print(rows[-1])
    table.write_with_command(results / "posefix_helps.csv", rows, __file__)
    diagnosis_report.write_csv(results / "posefix_errors.csv", every)
    for one, both in zip(found, zip(every[::2], every[1::2], strict=True), strict=True):
        if one.name != refined.TRUTH:
            path = results / f"posefix_errors_{plain(one.name)}.png"
            diagnosis_report.draw(path, list(both))


if __name__ == "__main__":
    main()
