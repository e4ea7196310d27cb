"""A training run: recipe and data in; best.keras, last.keras, last.state and logs out."""

import math
import os
import subprocess
import time
from pathlib import Path

import keras
import numpy as np
from tqdm import tqdm

from keras_pose.data.batches import Loader
from keras_pose.data.open import name_of, open_reader
from keras_pose.data.subset import Subset
from keras_pose.errors import PoseError
from keras_pose.models import network as networks
from keras_pose.models.start import short
from keras_pose.task import PoseTask
from keras_pose.training import evaluate, optimizers, refining, state, strategy
from keras_pose.training import recipe as recipes
from keras_pose.training.ema import Average
from keras_pose.training.history import History

METRIC = "pck@0.2"  # chooses best.keras


def train(recipe, data, out, resume=False, progress=True, watches=()):
    """Trains a recipe; with `resume` goes on where the state in `out` stopped.

    recipe: training.recipe.Recipe; data: anything data.open_reader takes; out: folder for the
    run's files; watches: functions that are called with the Run after every step, and only look.
    Returns the path of best.keras: the inference network with averaged weights.
    Raises PoseError when `out` holds a run and `resume` is off, when it holds none and it is on,
    when the recipe or the number of persons differs from what the run began with, when the recipe
    cannot be built, or when the loss is no longer finite.
    """
    run = Run(recipe, data, Path(out), resume, progress, watches)
    try:
        return run.go()
    finally:
        run.bar.close()


class Run:
    """The parts of a training run and the position in it."""

    def __init__(self, recipe, data, out, resume, progress, watches=()):
        self.watches = tuple(watches)
        self.recipe, self.out, self.state_path = recipe, out, out / "last.state"
        self.data = name_of(data)
        position = self._position(resume)
        strategy.seed(recipe.seed, recipe.deterministic)
        whole = open_reader(data, "train")
        self.train_reader = Subset(whole, recipe.samples)
        self.val_reader = Subset(open_reader(data, "val"), recipe.validate)
        self._warn_of_known_persons()
        self.loader = Loader(
            self.train_reader, recipe.input_size, recipe.batch_size, augment=recipe.augment,
            seed=recipe.seed, crop_margin=recipe.crop_margin, reach=recipe.reach,
            intact=recipe.intact, errors=recipe.errors,
            stand_in=_stand_in(recipe.stand_in, whole, self.train_reader.places),
        )  # fmt: skip
        self.loader.batch(0, 0)  # what cannot be read at all is said here, not by TensorFlow
        if position.get("persons", len(self.train_reader)) != len(self.train_reader):
            raise PoseError(
                f"the {position['persons']} training persons that the run began with",
                f"{len(self.train_reader)} in {data}",
                "Resume with the same --data, or choose a new --out.",
            )
        self.commit = _commit()  # the code that runs, whatever is committed meanwhile
        self.task, self.replicas = self._build(start=not resume)
        self.loader.others = getattr(self.task.criterion, "others", 0)
        self.network = self.task.network
        self.loader.poses = "pose" in self.network.extra_inputs
        self.grown = refining.grown(self.train_reader.samples) if self.loader.poses else None
        self.average = Average(self.network, recipe.ema, recipe.ema_every)
        self.averaged = self.network.rebuilt("float32")
        self.predict = evaluate.of_network(self.averaged)  # once: every new one is traced anew
        self.epoch, self.step = position["epoch"], position["step"]
        self.best, self.seconds = position["best"], position["seconds"]
        self.began = None  # when the epoch in progress was, in time.monotonic's seconds
        self.history = History(out, position["history"])
        self.metrics_so_far = None
        if resume:
            self.metrics_so_far = state.restore(self.state_path, self.task, self.average)
        total = recipe.epochs * self.loader.steps
        self.bar = tqdm(
            total=total, initial=self.done, unit="step", disable=not progress, mininterval=0.5,
            desc=recipe.name or "train",
        )  # fmt: skip

    @property
    def done(self) -> int:
        """Steps since the beginning of the run."""
        return self.epoch * self.loader.steps + self.step

    def _warn_of_known_persons(self):
        """A folder or a file that is not divided is read whole for both splits."""
        trained, scored = (
            {(str(s.source), s.name) for s in r.samples}
            for r in (self.train_reader, self.val_reader)
        )
        if trained & scored:
            print(
                f"note: {len(trained & scored)} of {len(scored)} validation persons are training "
                "persons too, so the scores say little about new pictures; divide the data into "
                "train and val"
            )

    def _position(self, resume):
        if resume:
            position = state.read_position(self.state_path)
            began = recipes.filled(position["recipe"])
            given = recipes.plain(self.recipe.to_dict())
            changed = [k for k in began | given if began.get(k) != given.get(k)]
            if changed:
                raise PoseError(
                    "the recipe that the run began with",
                    f"other values for {changed}",
                    "Resume with the same recipe and --set values, or choose a new --out.",
                )
            return position
        if self.state_path.exists():
            raise PoseError(
                "an empty --out folder for a new run",
                f"{self.out}, which holds a run",
                "Add --resume to go on with it, or choose another --out.",
            )
        self.out.mkdir(parents=True, exist_ok=True)
        return {"epoch": 0, "step": 0, "best": None, "seconds": 0.0, "history": []}

    def _build(self, start):
        """The compiled task, under the recipe's precision and on all of the host's devices.

        start: with the weights that the recipe begins with; those of a state replace them.
        """
        scope, replicas = strategy.choose()
        before = keras.config.dtype_policy()
        with scope:
            keras.config.set_dtype_policy(self.recipe.precision)
            try:
                network = self.recipe.build(self.train_reader.skeleton, start)
            finally:
                keras.config.set_dtype_policy(before)
            task = PoseTask(network, replicas)
            steps = self.recipe.epochs * self.loader.steps
            optimizer = optimizers.build(self.recipe.optimizer, steps)
            if self.recipe.precision == "mixed_float16":  # the task itself is float32, see there
                optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
            task.compile(optimizer=optimizer)
            optimizer.build(task.trainable_variables)
        return task, replicas

    def go(self):
        """Trains to the end; returns the path of best.keras."""
        while self.epoch < self.recipe.epochs:
            self.began, first = time.monotonic(), self.step
            logs = self._fit_epoch()
            speed = (self.loader.steps - first) * self.recipe.batch_size
            speed /= self._running()
            self.seconds, self.began = self.seconds + self._running(), None
            self.epoch, self.step = self.epoch + 1, 0
            self._finish_epoch(logs["loss"], speed)
        self._measure_presence()
        for split, reader in (("training", self.train_reader), ("validation", self.val_reader)):
            if reader.skips.count:
                self.bar.write(f"left out of the {split} data:\n{reader.skips.summary()}")
        return self.out / "best.keras"

    def _running(self):
        """Seconds that the epoch in progress has taken; 0 between epochs."""
        return time.monotonic() - self.began if self.began is not None else 0.0

    def _fit_epoch(self):
        """One `fit` over the rest of the epoch: Keras itself can only start at whole epochs."""
        result = self.task.fit(
            _batches(self.loader, self.epoch, self.step, self.recipe.workers),
            epochs=self.epoch + 1, initial_epoch=self.epoch, verbose=0, shuffle=False,
            callbacks=[_Follow(self)],
        )  # fmt: skip
        return {k: v[-1] for k, v in result.history.items()}

    def after_step(self, logs):
        """What happens between two steps; `logs` holds the epoch's mean loss so far."""
        self.step += 1
        self.average.update(self.done)
        for watch in self.watches:
            watch(self)
        self.bar.update()
        if self.done % 10 == 0:
            self.bar.set_postfix(loss=f"{float(logs['loss']):.4g}", refresh=False)
        if self.done % self.recipe.save_every == 0 and self.step < self.loader.steps:
            self._save(float(logs["loss"]))

    def _finish_epoch(self, loss, speed):
        self._check(loss)  # before any file of a good epoch is replaced
        self.averaged.set_weights(self.average.values)
        report = evaluate.evaluate(
            self.predict, self.val_reader, self.recipe.input_size, self.recipe.crop_margin
        )
        summary = {k: v for k, v in report.summary().items() if "pck" in k}
        rate = float(keras.ops.convert_to_numpy(self.task.optimizer.learning_rate))
        self.history.add(
            {
                "epoch": self.epoch, "step": self.done, "loss": round(float(loss), 6), **summary,
                "rate": rate, "images_per_second": round(speed, 1),
                "seconds": round(self.seconds, 1),
            }
        )  # fmt: skip
        self.bar.write(
            f"epoch {self.epoch}/{self.recipe.epochs}: loss {loss:.4g}, "
            + ", ".join(f"{k} {v}" for k, v in summary.items())
        )
        score = -math.inf if summary[METRIC] is None else summary[METRIC]
        self.averaged.notes = self._notes(summary)
        _write(self.averaged, self.out / "last.keras")
        if self.best is None or score >= self.best:
            self.best = score
            _write(self.averaged, self.out / "best.keras")
        self._save(loss)
        self.history.curve()

    def _measure_presence(self):
        """Notes in best.keras which person score tells a person from background."""
        path = self.out / "best.keras"
        best = networks.load(path)
        auc, threshold = evaluate.measure_presence(
            evaluate.of_network(best), self.val_reader, self.recipe.input_size,
            self.recipe.crop_margin,
        )  # fmt: skip
        if np.isfinite(threshold):
            presence = {"presence_auc": round(auc, 4), "threshold": round(threshold, 4)}
            best.notes = {**best.notes, **presence}
            _write(best, path)

    def _check(self, loss):
        if not np.isfinite(loss):
            raise PoseError(
                "a finite training loss",
                f"{loss} at step {self.done}",
                "Lower optimizer.rate, or set optimizer.clip; last.state is from before.",
            )

    def _save(self, loss):
        self._check(loss)
        position = {
            "epoch": self.epoch, "step": self.step, "best": self.best,
            "seconds": self.seconds + self._running(), "history": self.history.rows,
            "recipe": recipes.plain(self.recipe.to_dict()), "persons": len(self.train_reader),
        }  # fmt: skip
        state.save(self.state_path, self.task, self.average, position)

    def _notes(self, summary):
        weights = self.recipe.network.get("weights")
        refines = {"grown": self.grown} if self.loader.poses else {}
        return {
            "start": short(weights) if weights else "random weights",
            "data": self.data, "persons": len(self.train_reader),
            "recipe": self.recipe.name, "crop_margin": self.recipe.crop_margin,
            "epochs": self.epoch, "steps": self.done, "batch_size": self.recipe.batch_size,
            "backend": keras.backend.backend(), "devices": self.replicas, "commit": self.commit,
            "validation": summary, **refines,
        }  # fmt: skip


class _Follow(keras.callbacks.Callback):
    """Hands Keras' events to the run."""

    def __init__(self, run):
        super().__init__()
        self.run = run

    def on_epoch_begin(self, epoch, logs=None):
        if self.run.metrics_so_far is not None:  # `fit` has just reset them
            for variable, value in zip(
                self.model.metrics_variables, self.run.metrics_so_far, strict=True
            ):
                variable.assign(value)
            self.run.metrics_so_far = None

    def on_train_batch_end(self, batch, logs=None):
        _ = self.model  # on JAX this brings the weights up to date
        self.run.after_step(logs)


def _batches(loader, epoch, start, workers):
    if keras.backend.backend() == "tensorflow":
        from keras_pose.data import tfdata

        return tfdata.epoch(loader, epoch, start, workers=workers)
    from keras_pose.data import pydataset

    return pydataset.epoch(loader, epoch, start, workers=workers)


def _stand_in(path, reader, places):
    """(N, K, 3) x, y and valid, of a reader's persons in these places, from a file of results."""
    if not path:
        return None
    from keras_pose.runtime.refiner import known
    from keras_pose.training import diagnosis

    poses = diagnosis.of_everybody(path, reader)[places]
    return np.concatenate([poses[..., :2], known(poses)[..., None]], axis=-1)


def _write(network, path):
    """Saves a network in one go."""
    part = path.with_suffix(".part.keras")
    network.save(part)
    os.replace(part, path)


def _commit():
    """The code's git commit, empty outside a checkout."""
    here = Path(__file__).parent
    try:
        done = subprocess.run(
            ["git", "-C", str(here), "rev-parse", "--short", "HEAD"],
            capture_output=True, text=True, timeout=10,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
