"""Optimizers and learning-rate schedules, as functions of the step alone so that they resume."""

import keras
from keras import ops

from keras_pose.errors import PoseError

SCHEDULES = ("cosine", "steps", "constant")


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


def build(settings, steps):
    """A Keras optimizer from recipe.Optimizer for a run of `steps` steps."""
    schedule = Schedule(
        settings.rate, steps, settings.warmup, settings.schedule, settings.final,
        settings.boundaries, settings.factors,
    )  # fmt: skip
    clip = {"global_clipnorm": settings.clip} if settings.clip else {}
    if settings.name == "adam":
        return keras.optimizers.Adam(schedule, **clip)
    if settings.name == "adamw":
        optimizer = keras.optimizers.AdamW(schedule, weight_decay=settings.decay, **clip)
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta", "scale"])
        return optimizer
    raise PoseError('an optimizer "adam" or "adamw"', repr(settings.name), "Choose one of the two.")
