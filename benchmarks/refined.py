"""Poses of estimators before and after a network that refines them, as PoseFix's figures need them.

Symbols: N persons, K key points.
"""

import argparse
import dataclasses
import functools
from pathlib import Path

import numpy as np
import table
import trainings

from keras_pose.errors import PoseError

SMOKE = {"data": "figures:48", "estimators": ["repose_lite_s_figures"], "limit": 12}
DRAWN, TRUTH = "drawn errors", "ground truth"


@dataclasses.dataclass(frozen=True)
class Refined:
    """Poses of N persons, refined.

    name: whose they are; found: training.evaluate.Found, the refined ones and what was given; only:
    names of the key points that whoever gave the poses knows; file: the estimator's, None where
    there is none.
    """

    name: str
    found: object
    only: tuple
    file: Path | None = None

    @functools.cached_property
    def before(self):
        """(N, K, 2) what was given, NaN where nothing was."""
        return self.found.given.of(self.found.samples)

    @property
    def counted(self):
        """(N, K): annotated, and known to whoever gave the poses."""
        return self.found.visible & np.isin(self.found.skeleton.keypoints, self.only)

    @functools.cached_property
    def report(self):
        """training.evaluate.Report of the key points that whoever gave the poses knows."""
        return self.found.score(self.only)

    def pck(self) -> dict:
        """PCK in percent, by metric, and before_ by metric of what was given."""
        before, scores = trainings.pck(self.report, "input "), {}
        for name, after in trainings.pck(self.report).items():
            scores |= {f"before_{name}": before[name], name: after}
        return scores

    def oks(self):
        """OKS of each person before and after: two (N,), NaN where nothing is counted."""
        from keras_pose.metrics.oks import oks
        from keras_pose.training import diagnosis

        truth, _, area = diagnosis.people(self.found.samples)
        sigmas = self.found.skeleton.sigmas
        poses = (self.before, self.found.predicted)
        poses = (np.where(np.isnan(p), np.inf, p) for p in poses)  # no answer is far from all
        return tuple(oks(p, truth, self.counted, area, sigmas) for p in poses)

    def diagnoses(self, reader):
        """What is wrong before and after: two training.diagnosis.Diagnosis, in which a key point
        that whoever gave the poses does not know is no miss. reader: of whom these persons are."""
        from keras_pose.metrics.diagnosis import UNANNOTATED
        from keras_pose.training import diagnosis

        place = {id(sample): n for n, sample in enumerate(reader.samples)}
        persons = [place[id(sample)] for sample in self.found.samples]
        unknown = ~np.isin(reader.skeleton.keypoints, self.only)
        made = []
        for when, poses in (("before", self.before), ("refined", self.found.predicted)):
            one = diagnosis.diagnose(
                f"{self.name}, {when}", poses, reader.samples, persons, reader.skeleton
            )
            codes = np.where(unknown, UNANNOTATED, one.codes).astype(one.codes.dtype)
            made.append(dataclasses.replace(one, codes=codes))
        return made


def estimated(model, reader, limit=0):
    """What an estimator says of a reader's persons in their annotated crops: (poses (N, K, 3), all
    0 for those beyond the limit; names of the key points that it knows; its file).

    model: a .keras, a .tflite or a preset of this project, or one of MoveNet's single-pose .tflite.
    Raises PoseError for a model that refines poses itself.
    """
    import compare

    from keras_pose import presets
    from keras_pose.data.subset import Subset
    from keras_pose.training import evaluate
    from keras_pose.training.looking import Refining, answering, look

    predict, skeleton, size, margin, _ = compare.opened(model)
    if isinstance(predict, Refining):
        raise PoseError(
            "an estimator, which looks at the picture alone",
            f"{model}, which refines poses",
            "Give it as --model.",
        )
    only = evaluate.shared(reader.skeleton, skeleton)
    some = Subset(reader, limit)
    place = {id(s): int(n) for s, n in zip(some.samples, some.places, strict=True)}
    poses = np.zeros((len(reader), reader.skeleton.count, 3), np.float32)
    said = answering(predict, skeleton, reader.skeleton)
    for sample, points, scores in look(said, reader, some.samples, size, margin, True):
        there = np.isfinite(points).all(axis=-1)
        pose = np.column_stack([points, scores])
        poses[place[id(sample)]] = np.where(there[:, None], pose, 0.0)
    return poses, only, presets.resolve(model)


def true(reader):
    """The annotated poses, as if an estimator had found them: (N, K, 3)."""
    poses = [np.column_stack([s.keypoints, np.ones(len(s.visible))]) for s in reader.samples]
    seen = np.stack([s.visible for s in reader.samples])
    return np.where(seen[..., None], np.stack(poses), 0.0).astype(np.float32)


def refined(refiner, reader, name, poses=None, only=(), file=None, limit=0) -> Refined:
    """Poses (N, K, 3) of all of a reader's persons through a refiner; drawn errors without.

    refiner: (predictor, skeleton, input size, crop margin), as training.evaluate.open_model gives
    it. only: names of the key points that the poses have, () for all. limit: at most so many
    persons. Raises PoseError for what refines nothing, or other key points.
    """
    from keras_pose.training import evaluate
    from keras_pose.training.looking import Refining

    predict, skeleton, size, margin = refiner
    if not isinstance(predict, Refining):
        raise PoseError(
            "a network that refines poses",
            "one that looks at the picture alone",
            "Train a PoseFix.",
        )
    evaluate.check_skeleton(skeleton, reader.skeleton, "the model")
    found = evaluate.find(predict, reader, size, margin, limit, progress=True, poses=poses)
    return Refined(name, found, tuple(only) or reader.skeleton.keypoints, file)


def of_estimators(refiner, models, reader, limit=0):
    """Yields Refined of each estimator's poses, see `estimated` and `named`."""
    for name, model in named(models).items():
        poses, only, file = estimated(model, reader, limit)
        yield refined(refiner, reader, name, poses, only, file, limit)


def named(models) -> dict:
    """Models by what they are called in tables. Raises PoseError for two of one name."""
    names = [table.name_of(model) for model in models]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        same = [str(model) for model in models if table.name_of(model) == twice]
        raise PoseError(
            "models of different names, which tables and pictures tell apart",
            f"{', '.join(same)}, each called {twice}",
            "Rename a file, or a run's folder, or give each only once.",
        )
    return dict(zip(names, models, strict=True))


def of_files(before, after, reader) -> Refined:
    """Poses of one file of key point results, and what another has in their places.

    reader: a CocoReader, of whose persons each takes the pose that fits (training.diagnosis), and
    those without one are left out. Raises PoseError for files that do not have the same pictures'
    poses in the same order, for poses that fit nobody, and what training.diagnosis.matched raises.
    """
    from keras_pose.data.results_file import read_results
    from keras_pose.runtime.refiner import known
    from keras_pose.training import diagnosis, evaluate, refining

    pictures = [
        [(r["image_id"], r["category_id"]) for r in read_results(path, reader.skeleton.count)]
        for path in (before, after)
    ]
    if pictures[0] != pictures[1]:
        raise PoseError(
            f"{after} with the poses of {before} in their order",
            f"{len(pictures[1])} entries beside {len(pictures[0])}, or of other pictures",
            "Give the file that apps/refine.py made of the first.",
        )
    points, poses, persons = diagnosis.matched(before, reader)
    if not persons:
        raise PoseError(
            "at least one pose that fits an annotated person",
            f"{len(points)} in {before}, of which none does",
            "Check that the files are of these data.",
        )
    instead, _, _ = diagnosis.matched(after, reader)
    samples = tuple(reader.samples[n] for n in persons)
    truth, visible, _ = diagnosis.people(samples)
    instead = np.where(known(instead)[..., None], instead[..., :2], np.nan)
    given = refining.Given(Path(before).name, points[poses], samples, samples)
    found = evaluate.Found(
        instead[poses], truth, visible, reader.skeleton, samples=samples, given=given
    )
    return Refined(Path(before).name, found, reader.skeleton.keypoints)


def parser(description, out):
    """The arguments of what looks at a trained refiner."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--model", help="what refines: a .keras or .tflite")
    made.add_argument(
        "--estimators", nargs="+", default=[], metavar="MODEL",
        help="whose poses: .keras, .tflite or preset of this project, or MoveNet's .tflite",
    )  # fmt: skip
    made.add_argument("--data", help="labelled pictures, whose validation split is looked at")
    made.add_argument("--limit", type=int, default=0, help="at most so many persons")
    made.add_argument("--results", help="folder of table and picture (default: benchmarks/results)")
    made.add_argument("--out", default=out, help="folder of what --smoke trains and writes")
    made.add_argument(
        "--smoke", action="store_true", help="two minutes of it, with what is missing made up"
    )
    return made


def opened(given):
    """(refiner, estimators, reader, limit, folder of the results) of the parsed arguments.

    Raises PoseError without a model or data; --smoke makes up what is missing.
    """
    from keras_pose.data.open import open_reader
    from keras_pose.training import evaluate

    model, estimators, data, limit = given.model, given.estimators, given.data, given.limit
    if given.smoke:
        data, limit = data or SMOKE["data"], limit or SMOKE["limit"]
        estimators, model = estimators or SMOKE["estimators"], model or _trained(data, given.out)
    for name, value in (("model", model), ("data", data)):
        if not value:
            raise PoseError(f"--{name}", "none", "Give it, or --smoke to go through all in small.")
    reader = open_reader(data, "val")
    return evaluate.open_model(model), estimators, reader, limit, trainings.folder(given)


def _trained(data, out):
    """The best.keras of a training of seconds."""
    made = trainings.parser("", out, trainings.POSEFIX).parse_args(["--smoke", "--data", data])
    recipe, data, out, _ = trainings.opened(made)
    return trainings.trained(recipe, data, out / "smoke")
