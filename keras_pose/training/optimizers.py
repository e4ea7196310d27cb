"""Optimizers and learning-rate schedules, as functions of the step alone so that they resume."""

import math

import keras
from keras import ops

from keras_pose.errors import PoseError

NAMES = ("adam", "adamw", "sgd")
SCHEDULES = ("cosine", "steps", "constant")
# of variables: of normalisations, and embeddings, which hold what a key point or a level is
_NOT_DECAYED = ("bias", "gamma", "beta", "scale", "classes", "level")


@keras.saving.register_keras_serializable(package="keras_pose")
class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """A linear warm-up, then a cosine, steps or nothing.

    rate: the peak; steps: length of the run; the others as in recipe.Optimizer.
    """

    def __init__(self, rate, steps, warmup=0, schedule="cosine", final=0.0, boundaries=(),
                 factors=()):  # fmt: skip
        if schedule not in SCHEDULES:
            raise PoseError(f"a schedule among {SCHEDULES}", repr(schedule), "Choose one of them.")
        if len(boundaries) != len(factors):
            raise PoseError(
                "as many boundaries as factors",
                f"{boundaries} and {factors}",
                "Each boundary is where its factor begins.",
            )
        self.rate, self.steps, self.warmup, self.schedule = rate, steps, warmup, schedule
        self.final, self.boundaries, self.factors = final, tuple(boundaries), tuple(factors)

    def __call__(self, step):
        step = ops.cast(step, "float32")
        factor = ops.ones_like(step)
        if self.schedule == "cosine":
            length = max(self.steps - self.warmup, 1)
            progress = ops.clip((step - self.warmup) / length, 0.0, 1.0)
            cosine = 0.5 * (1.0 + ops.cos(progress * 3.141592653589793))
            factor = self.final + (1.0 - self.final) * cosine
        elif self.schedule == "steps":
            for boundary, value in zip(self.boundaries, self.factors, strict=True):
                factor = ops.where(step >= boundary * self.steps, value, factor)
        rise = ops.minimum((step + 1.0) / max(self.warmup, 1), 1.0)
        return self.rate * factor * rise

    def get_config(self):
        return {
            "rate": self.rate, "steps": self.steps, "warmup": self.warmup,
            "schedule": self.schedule, "final": self.final, "boundaries": self.boundaries,
            "factors": self.factors,
        }  # fmt: skip


@keras.saving.register_keras_serializable(package="keras_pose")
class Adam(keras.optimizers.Adam):
    """Adam, or AdamW where weight_decay is given, with variables that move more slowly.

    slow: a variable whose path contains one of these names has `slow_factor` times the learning
    rate, for its decay too (Deformable DETR; Poseur section 4.1). Biases, the variables of
    normalisations and embeddings do not decay.
    """

    def __init__(self, learning_rate=0.001, slow=(), slow_factor=0.1, **named):
        super().__init__(learning_rate, **named)
        self.slow, self.slow_factor = tuple(slow), slow_factor
        self._slowed = self._slowed_decay = frozenset()

    def build(self, variables):
        if self.built:
            return
        # by index: TensorFlow gives update_step variables that have forgotten their path
        slowed = [i for i, v in enumerate(variables) if any(n in v.path for n in self.slow)]
        self._slowed = frozenset(slowed)
        if self.weight_decay is not None:
            # Keras decays everything at one rate; update_step decays what is slow. By variable: by
            # name, TensorFlow would also find the kernels of a layer that is called "scale"
            still = [i for i, v in enumerate(variables) if _is_still(v)]
            self._slowed_decay = self._slowed.difference(still)
            self.exclude_from_weight_decay([variables[i] for i in {*slowed, *still}])
        super().build(variables)

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        if index in self._slowed:
            learning_rate = learning_rate * self.slow_factor
            if index in self._slowed_decay:
                rate = ops.cast(learning_rate, variable.dtype)
                self.assign_sub(variable, variable * (rate * self.weight_decay))
        super().update_step(gradient, variable, learning_rate)

    def get_config(self):
        return {**super().get_config(), "slow": self.slow, "slow_factor": self.slow_factor}


@keras.saving.register_keras_serializable(package="keras_pose")
class SGD(keras.optimizers.SGD):
    """Stochastic gradient descent with momentum, as Caffe has it.

    decay: so many times a variable is added to its gradient, which momentum then gathers like the
    rest of it (Keras' own weight_decay bypasses the momentum). Biases, the variables of
    normalisations and embeddings do not decay.
    rates: pairs of a name and a factor. A variable whose path contains the name has that many times
    the learning rate; the factors of all that it contains multiply.
    """

    def __init__(self, learning_rate=0.01, momentum=0.9, decay=0.0, rates=(), **named):
        super().__init__(learning_rate, momentum=momentum, **named)
        self.decay, self.rates = decay, tuple((name, factor) for name, factor in rates)
        self._factors, self._decayed = {}, frozenset()

    def build(self, variables):
        if self.built:
            return
        # by index, as above
        self._factors = {i: _factor(self.rates, v.path) for i, v in enumerate(variables)}
        decayed = [i for i, v in enumerate(variables) if not _is_still(v)]
        self._decayed = frozenset(decayed if self.decay else ())
        super().build(variables)

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        if index in self._decayed:
            gradient = ops.cast(gradient, variable.dtype) + self.decay * variable
        super().update_step(gradient, variable, learning_rate * self._factors[index])

    def get_config(self):
        return {**super().get_config(), "decay": self.decay, "rates": self.rates}


def _factor(rates, path):
    """The product of the factors of all names that a variable's path contains."""
    return math.prod(factor for name, factor in rates if name in path)


def _is_still(variable):
    """Whether a variable does not decay."""
    return any(name in variable.name for name in _NOT_DECAYED)


def build(settings, steps):
    """A Keras optimizer from recipe.Optimizer for a run of `steps` steps."""
    schedule = Schedule(
        settings.rate, steps, settings.warmup, settings.schedule, settings.final,
        settings.boundaries, settings.factors,
    )  # fmt: skip
    if settings.name not in NAMES:
        raise PoseError(f"an optimizer among {NAMES}", repr(settings.name), "Choose one of them.")
    clip = settings.clip or None
    if settings.name == "sgd":
        return SGD(
            schedule, settings.momentum, settings.decay, settings.rates, global_clipnorm=clip
        )
    return Adam(
        schedule,
        slow=settings.slow,
        slow_factor=settings.slow_factor,
        weight_decay=settings.decay if settings.name == "adamw" else None,
        global_clipnorm=clip,
    )
