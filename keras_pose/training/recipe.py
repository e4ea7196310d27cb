"""Recipes: everything a training run depends on, as typed and frozen dataclasses.

A recipe is a Python file in train/recipes/ that binds `recipe`; its header gives the command, the
expected time and the expected metric. `--set a.b=value` replaces single values.
"""

import dataclasses
import inspect
import math
import runpy
from pathlib import Path

from keras_pose.data.augment import Augment
from keras_pose.data.pose_error_rates import checked
from keras_pose.errors import PoseError
from keras_pose.training.overrides import applied, nearest

FOLDER = Path(__file__).resolve().parents[2] / "train" / "recipes"

_POLICIES = ("float32", "mixed_float16", "mixed_bfloat16")
# of Optimizer's numbers, of each where there are several
_LIMITS = {
    "rate": (0, math.inf), "warmup": (0, math.inf), "final": (0, 1), "boundaries": (0, 1),
    "factors": (0, math.inf), "decay": (0, math.inf), "clip": (0, math.inf), "slow_factor": (0, 1),
    "momentum": (0, 1),
}  # fmt: skip
_POSITIVE = ("rate", "slow_factor")
# arguments of a network that hold those of one inside it, and which says what that begins with
_INSIDE = {"base_arguments": "weights", "estimator": "weights", "refiner": "refiner_weights"}
_RANGES = [
    (("epochs", "batch_size", "ema_every", "save_every", "workers"), 1, math.inf),
    (("samples", "validate", "seed"), 0, math.inf),
    (("ema", "reach", "intact"), 0, 1),
    (("crop_margin",), 1, 10),
]


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """What moves the weights.

    name: "adam", "adamw" or "sgd"; rate: peak learning rate; warmup: steps of linear rise to it;
    schedule: "cosine" (to `final` times the rate), "steps" or "constant"; boundaries and factors:
    for "steps", fractions of the run at which the rate becomes the peak times the factor;
    decay: AdamW's weight decay, or for "sgd" what of a variable is added to its gradient, of
    kernels alone; clip: largest global norm of a gradient, 0 for none; slow: variables with one of
    these names in their path move at `slow_factor` times the rate, by default those that the paper
    of Poseur names (section 4.1), for Adam alone; momentum and rates: for "sgd" alone, rates being
    pairs (name, factor): variables with the name in their path move at so many times the rate, and
    the factors of all their names multiply.
    """

    name: str = "adamw"
    rate: float = 1e-3
    warmup: int = 100
    schedule: str = "cosine"
    final: float = 0.01
    boundaries: tuple = ()
    factors: tuple = ()
    decay: float = 1e-4
    clip: float = 1.0
    slow: tuple = ("sampling_offsets", "reference_points")
    slow_factor: float = 0.1
    momentum: float = 0.9
    rates: tuple = ()

    def __post_init__(self):
        for name, (low, high) in _LIMITS.items():
            given = getattr(self, name)
            for value in given if isinstance(given, tuple) else (given,):
                number = isinstance(value, int | float) and low <= value <= high
                if not number or value == math.inf or (name in _POSITIVE and value == 0):
                    least = "above 0" if name in _POSITIVE else f"of at least {low}"
                    most = f" and at most {high}" if high < math.inf else ""
                    raise PoseError(
                        f"{name} {least}{most}", repr(given), "Change the recipe or its --set."
                    )
        if not all(isinstance(part, str) and part for part in self.slow):
            raise PoseError(
                "slow as parts of variables' names",
                repr(self.slow),
                "Write ('sampling_offsets',), or () for none.",
            )
        if not all(_is_rate(pair) for pair in self.rates):
            raise PoseError(
                "rates as pairs of a part of variables' names and a positive factor",
                repr(self.rates),
                "Write (('bias', 2.0),), or () for none.",
            )


def _is_rate(pair):
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        return False
    name, factor = pair
    return bool(
        isinstance(name, str) and name and isinstance(factor, int | float) and 0 < factor < math.inf
    )


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A training run.

    builder: a function of keras_pose.models; network: its arguments (the skeleton comes from the
    data); data: what --data defaults to; precision: Keras dtype policy; ema: decay of the averaged
    weights that are evaluated and exported, updated every `ema_every` steps; save_every: steps
    between states for --resume; samples, validate: how many training and validation persons are
    used, 0 for all; reach: share of the crop beyond its border up to which annotated key points
    count, for networks that predict coordinates; intact: chance that the pose that a network
    refines is the truth as it is, and not drawn from it; errors: pairs (kind, factor), kinds of
    errors that are drawn so many times as often as in the paper; stand_in: a file of results in
    COCO's format of the training pictures, from which that pose is drawn where no truth is
    annotated in the crop, "" for none; frozen: names of layers whose weights are not trained, in
    networks inside the network too; a name stands for all that begin with it and "_" too, as
    stage1 for stage1_conv1; workers: threads that prepare batches; deterministic: ask TensorFlow
    for bit-equal runs, at some cost in speed.
    """

    builder: str
    network: dict
    data: str = ""
    augment: Augment = dataclasses.field(default_factory=Augment)
    optimizer: Optimizer = dataclasses.field(default_factory=Optimizer)
    epochs: int = 10
    batch_size: int = 32
    seed: int = 0
    precision: str = "float32"
    ema: float = 0.999
    ema_every: int = 4
    save_every: int = 200
    samples: int = 0
    validate: int = 0
    crop_margin: float = 1.25
    reach: float = 0.0
    intact: float = 0.0
    errors: tuple = ()
    stand_in: str = ""
    frozen: tuple = ()
    workers: int = 2
    deterministic: bool = False
    name: str = ""

    def __post_init__(self):
        for names, low, high in _RANGES:
            for name in names:
                if not low <= getattr(self, name) <= high:
                    raise PoseError(
                        f"{name} of {low} to {high}"
                        if high < math.inf
                        else f"{name} of at least {low}",
                        repr(getattr(self, name)),
                        "Change the recipe or its --set.",
                    )
        checked(self.errors)
        if self.precision not in _POLICIES:
            raise PoseError(
                f"a precision among {_POLICIES}", repr(self.precision), "Choose one of them."
            )

    @property
    def input_size(self) -> tuple[int, int]:
        """(H, W), from the builder's arguments or its own default."""
        default = _parameters(self.builder)["input_size"].default
        size = self.network.get("input_size", default)
        from keras_pose.models.network import sides

        return sides(size)

    def build(self, skeleton, start=True):
        """The recipe's network for a skeleton, under the current dtype policy.

        start: with the weights that the recipe begins with, which are read from their file.
        Raises PoseError for what the builder refuses, for a `reach` beyond heatmaps, for frozen
        normalisation of a backbone that begins with random weights, and for a name in `frozen` that
        no layer has.
        """
        arguments = self.network
        if not start:
            known = ("weights", *_INSIDE.values())
            arguments = {k: None if k in known else v for k, v in arguments.items()}
        network = _builder(self.builder)(skeleton=skeleton, **arguments)
        # maps end where the crop does, and so do the points that are refined from theirs
        if self.reach and network.codec.head != "coordinates":
            raise PoseError(
                "reach 0 for a network that predicts heatmaps",
                f"reach={self.reach} with {self.builder}",
                "Write --set reach=0, or take a network that predicts coordinates.",
            )
        for place, part, name in _backbones(arguments) if start else ():
            if part.get("frozen_norm") and arguments.get(name) is None:
                raise PoseError(
                    "weights for a backbone whose normalisation is frozen",
                    f"{place}.frozen_norm=True and no network.{name}",
                    f"Write --set network.{name}=FILE, or --set {place}.frozen_norm=false to train "
                    "it from random weights.",
                )
        self._freeze(network)
        return network

    def _freeze(self, network):
        every = list(_layers(network))
        for name in self.frozen:
            layers = [m for m in every if f"{m.name}_".startswith(f"{name}_")]
            if not any(layer.weights for layer in layers):
                known = sorted({m.name.split("_")[0] for m in every if m.weights})
                raise PoseError(
                    f"names of layers with weights in frozen, as {', '.join(known)}",
                    repr(name),
                    nearest(str(name), known),
                )
            for layer in layers:
                layer.trainable = False

    def smoke(self) -> "Recipe":
        """The same code path in two minutes: few samples, two epochs, small batches."""
        batch = min(self.batch_size, 8)
        optimizer = dataclasses.replace(self.optimizer, warmup=2)
        return dataclasses.replace(
            self, epochs=2, batch_size=batch, samples=4 * batch, validate=16, save_every=3,
            optimizer=optimizer,
        )  # fmt: skip

    def to_dict(self) -> dict:
        return dataclasses.asdict(self)


def load(name, overrides=(), folder=FOLDER) -> Recipe:
    """A recipe by name (a file in `folder`) or by the path of a Python file.

    overrides: strings "a.b=value". Raises PoseError for an unknown recipe, key or type.
    """
    path = Path(name) if str(name).endswith(".py") else Path(folder) / f"{name}.py"
    if not path.is_file():
        known = sorted(p.stem for p in Path(folder).glob("*.py") if p.stem != "__init__")
        raise PoseError(f"a recipe among {known}", repr(str(name)), nearest(str(name), known))
    recipe = runpy.run_path(str(path)).get("recipe")
    if not isinstance(recipe, Recipe):
        raise PoseError(
            "a file that binds `recipe` to a keras_pose.training.recipe.Recipe",
            f"{path} without it",
            "Copy a file of train/recipes and change it.",
        )
    recipe = dataclasses.replace(recipe, name=path.stem)
    for override in overrides:
        recipe = applied(recipe, override, _parameters)
    return recipe


def plain(value):
    """As JSON gives it back: lists for tuples."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return [plain(v) for v in value] if isinstance(value, list | tuple) else value


def filled(stored: dict) -> dict:
    """A stored recipe with today's defaults for what did not exist when it was stored."""
    return _filled(stored, plain(Recipe("", {}).to_dict()))


def _filled(stored, defaults):
    nested = {
        k: _filled(v, defaults[k]) if isinstance(defaults.get(k), dict) else v
        for k, v in stored.items()
    }
    return defaults | nested


def _builder(name):
    from keras_pose import models

    builder = getattr(models, name, None)
    if builder is None:
        known = [n for n in dir(models) if n[:1].isupper()]
        raise PoseError(f"a network among {known}", repr(name), nearest(name, known))
    return builder


def _backbones(arguments):
    """Of a network's arguments those that may be of a backbone: (where they stand, a dict of them,
    name of the argument that says what the backbone begins with)."""
    yield "network", arguments, "weights"
    for inside, name in _INSIDE.items():
        yield f"network.{inside}", arguments.get(inside) or {}, name


def _layers(network):
    """Its layers, and those of the networks among them."""
    import keras

    for layer in network.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from _layers(layer)


def _parameters(name):
    """Of a builder: by name, with their defaults."""
    return inspect.signature(_builder(name)).parameters
