"""Recipes load, take typed overrides and refuse what they do not know."""

import numpy as np
import pytest

from keras_pose.errors import PoseError
from keras_pose.training import optimizers, recipe
from keras_pose.training.recipe import Optimizer

NAMES = sorted(p.stem for p in recipe.FOLDER.glob("*.py"))


def test_the_named_recipes_are_there():
    reposes = {"repose_lsp", "repose_lite_lsp", "repose_lite_figures"}
    poseurs = {"poseur_mobilenetv2_coco", "poseur_r50_coco", "poseur_mobile_lsp"}
    assert reposes | poseurs <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_argument_of_the_network_is_its_builders(name):
    loaded = recipe.load(name)
    for key, value in loaded.network.items():
        again = recipe.load(name, [f"network.{key}={value!r}"])
        assert again.network == loaded.network
    assert len(loaded.input_size) == 2


@pytest.mark.parametrize("backbone", ["mobilenetv2", "r50"])
def test_poseurs_rates_are_those_of_the_paper(backbone):
    """1e-3, 1e-4 from epoch 255 and 1e-5 from epoch 310 of 325, and a warm-up of 500 steps."""
    loaded = recipe.load(f"poseur_{backbone}_coco")
    schedule = optimizers.build(loaded.optimizer, 325 * 1000)._learning_rate
    epochs = [float(schedule(1000 * e + 500)) for e in (0, 254, 255, 309, 310, 324)]
    assert epochs == pytest.approx([1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-5])
    assert float(schedule(249)) == pytest.approx(5e-4)


@pytest.mark.parametrize("name", NAMES)
def test_header_gives_the_command(name):
    header = (recipe.FOLDER / f"{name}.py").read_text().split('"""')[1]
    assert f"python train/train.py {name}" in header


@pytest.mark.parametrize("name", NAMES)
def test_smoke_is_small_and_otherwise_the_same(name):
    full = recipe.load(name)
    smoke = full.smoke()
    assert smoke.epochs * smoke.samples <= 64
    assert (smoke.builder, smoke.network, smoke.augment) == (
        full.builder, full.network, full.augment,
    )  # fmt: skip


def test_overrides_reach_deep_and_keep_types():
    loaded = recipe.load(
        "repose_lite_lsp",
        [
            "optimizer.rate=1",
            "network.size=s",
            "augment.scale=[0.5, 2.0]",
            "precision=mixed_float16",
        ],
    )
    assert loaded.optimizer.rate == 1.0 and isinstance(loaded.optimizer.rate, float)
    assert loaded.network["size"] == "s" and loaded.augment.scale == (0.5, 2.0)
    assert loaded.precision == "mixed_float16"


@pytest.mark.parametrize(
    "text, key, value",
    [
        ("network.weights=weights/trunk-1.npz", "weights", "weights/trunk-1.npz"),
        ("network.weights=None", "weights", None),
        ("network.frozen_norm=true", "frozen_norm", True),
        ("network.shared=False", "shared", False),
        ("network.levels=8,16", "levels", (8, 16)),
        ("network.levels=[16]", "levels", (16,)),
        ("network.alpha=1", "alpha", 1.0),
        ("network.score=none", "score", "none"),
        ("network.initial=query", "initial", "query"),
    ],
)
def test_arguments_of_the_network_have_the_builders_types(text, key, value):
    given = recipe.load("poseur_mobile_lsp", [text]).network[key]
    assert given == value and type(given) is type(value)


@pytest.mark.parametrize(
    "override, hint",
    [
        ("network.frozen_norm=yes", "a bool for 'network.frozen_norm'"),
        ("network.levels=8", "tuple"),
        ("network.decoder_layers=3.5", "int"),
        ("network.input_size.0=3", "network.input_size="),
        ("deterministic=1", "a bool"),
        ("reach=-1", "reach of 0 to 1"),
        ("optimizer.slow=offsets", "tuple"),
    ],
)
def test_ill_typed_arguments_of_the_network_are_refused(override, hint):
    with pytest.raises(PoseError, match=hint):
        recipe.load("poseur_mobile_lsp", [override])


@pytest.mark.parametrize(
    "override, hint",
    [
        ("optimizer.rat=1", "'rate'"),
        ("epoch=3", "'epochs'"),
        ("network.sise=s", "'size'"),
        ("epochs=many", "int"),
        ("augment=0", "Augment"),
        ("seed.a=1", "seed"),
        ("epochs", "key=value"),
        ("epochs=0", "epochs of at least 1"),
        ("save_every=0", "save_every"),
        ("ema=1.5", "ema of 0 to 1"),
        ("precision=fp16", "mixed_float16"),
    ],
)
def test_unknown_or_ill_typed_overrides_are_refused(override, hint):
    with pytest.raises(PoseError, match=hint):
        recipe.load("repose_lite_lsp", [override])


def test_unknown_recipe_names_the_nearest():
    with pytest.raises(PoseError, match="repose_lite_lsp"):
        recipe.load("repose_lite_lps")


def test_a_file_of_ones_own(tmp_path):
    text = (recipe.FOLDER / "repose_lite_lsp.py").read_text()
    (tmp_path / "mine.py").write_text(text)
    assert recipe.load(tmp_path / "mine.py").name == "mine"
    (tmp_path / "empty.py").write_text("x = 1\n")
    with pytest.raises(PoseError, match="binds"):
        recipe.load(tmp_path / "empty.py")


def _rates(steps=100, **settings):
    schedule = optimizers.build(Optimizer(rate=0.1, **settings), steps)._learning_rate
    return np.array([float(schedule(i)) for i in range(steps + 1)])


def test_warm_up_rises_to_the_rate_and_the_cosine_falls_to_the_end():
    rates = _rates(warmup=10, final=0.01)
    assert np.all(np.diff(rates[:10]) > 0) and np.all(np.diff(rates[10:]) <= 0)
    assert rates[9] == pytest.approx(0.1) and rates[-1] == pytest.approx(0.001)


def test_steps_change_where_they_say():
    rates = _rates(schedule="steps", warmup=0, boundaries=(0.5, 0.65), factors=(0.5, 1e-3))
    assert rates[[0, 49, 50, 64, 65]] == pytest.approx([0.1, 0.1, 0.05, 0.05, 1e-4])


@pytest.mark.parametrize(
    "settings", [{"name": "sgdw"}, {"schedule": "sine"}, {"boundaries": (0.5,)}]
)
def test_bad_optimizers_are_refused(settings):
    with pytest.raises(PoseError):
        optimizers.build(Optimizer(**settings), 10)
