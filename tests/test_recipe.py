"""Recipes load, take typed overrides and refuse what they do not know."""

import inspect

import numpy as np
import pytest

from keras_pose import backbones, models
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


@pytest.mark.parametrize("name", ["poseur_mobilenetv2_coco", "poseur_r50_coco"])
def test_poseurs_settings_are_those_of_the_release(name):
    loaded = recipe.load(name)
    given, augment = loaded.optimizer, loaded.augment
    assert (given.name, given.rate, given.decay, given.warmup) == ("adamw", 1e-3, 1e-4, 500)
    assert (given.schedule, given.factors, given.clip) == ("steps", (0.1, 0.01), 0.0)
    assert given.boundaries == (255 / 325, 310 / 325) and loaded.epochs == 325
    assert "sampling_offsets" in given.slow and given.slow_factor == 0.1
    assert (loaded.batch_size, loaded.crop_margin) == (8 * 32, 1.25)
    turns = (augment.rotate, augment.rotate_spread, augment.rotate_chance)
    assert turns == (80.0, 40.0, 0.6)
    assert augment.scale == (1 / 1.5, 1 / 0.5) and augment.scale_spread == 0.5  # of the crop's size
    assert (augment.half_body, augment.flip) == (0.3, 0.5)


def test_what_coordinates_allow_is_used():
    loaded = recipe.load("poseur_mobile_lsp")
    assert loaded.augment.half_body > 0 and loaded.reach > 0


@pytest.mark.parametrize("name", NAMES)
def test_the_network_can_be_built(name):
    loaded = recipe.load(name)
    if name == "poseur_r50_coco":  # large: what would be refused, and what its weights ask for
        levels = inspect.signature(models.Poseur).parameters["levels"].default
        backbones.check(loaded.network["backbone"], loaded.input_size, levels)
        assert loaded.network["stride_in"] == "1x1"
        return
    skeleton = "coco17" if "coco" in name else "lsp14"
    network = loaded.build(skeleton, start=False)
    assert network.input_size == loaded.input_size and network.arguments.get("weights") is None


def test_starting_weights_are_read_only_where_a_run_begins(tmp_path):
    gone = tmp_path / "trunk.npz"
    settings = [f"network.weights={gone}", "network.frozen_norm=true"]
    loaded = recipe.load("poseur_mobile_lsp", [*settings, "network.input_size=(64, 64)"])
    with pytest.raises(PoseError, match="trunk"):
        loaded.build("lsp14")
    assert loaded.build("lsp14", start=False).arguments["frozen_norm"]
    assert loaded.network["weights"] == str(gone)


def test_a_frozen_backbone_needs_weights():
    settings = ["network.input_size=(32, 32)", "network.channels=(8, 8)"]
    frozen = recipe.load("repose_lite_s_lsp", settings)
    with pytest.raises(PoseError, match=r"--set network\.weights"):
        frozen.build("lsp14")
    assert frozen.build("lsp14", start=False).rebuilt()  # --resume, and a saved network
    thawed = recipe.load("repose_lite_s_lsp", [*settings, "network.frozen_norm=false"])
    assert thawed.build("lsp14")


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


def test_overrides_reach_the_arguments_of_a_base():
    whole = recipe.load("graph_pcnn_mobile_lsp")
    loaded = recipe.load("graph_pcnn_mobile_lsp", ["network.base_arguments.filters=16"])
    arguments = whole.network["base_arguments"] | {"filters": 16}
    assert loaded.network == whole.network | {"base_arguments": arguments}
    with pytest.raises(PoseError, match="a plain key"):
        recipe.load("graph_pcnn_mobile_lsp", ["network.base_arguments.filters.more=16"])
    with pytest.raises(PoseError, match="base_arguments as arguments of SimpleBaseline"):
        recipe.load("graph_pcnn_mobile_lsp", ["network.base_arguments.width=16"]).build(
            "lsp14", start=False
        )
    with pytest.raises(PoseError, match=r"--set network\.weights"):  # frozen, inside the base
        whole.build("lsp14")


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
        ("intact=1.5", "intact of 0 to 1"),
        ("errors=(('good', 2.0),)", "pairs of a kind among jitter, inversion, swap, miss"),
        ("errors=(('miss', -1),)", "a factor from 0"),
        ("errors=('miss', 2)", "pairs of a kind"),
        ("optimizer.slow=offsets", "tuple"),
        ("optimizer.slow=(1,)", "slow as parts"),
        ("optimizer.slow=('',)", "slow as parts"),
        ("optimizer.rate=0", "rate above 0"),
        ("optimizer.rate=1e999", "rate above 0"),
        ("optimizer.warmup=-1", "warmup of at least 0"),
        ("optimizer.final=1.5", "final of at least 0 and at most 1"),
        ("optimizer.decay=-0.1", "decay"),
        ("optimizer.clip=-1", "clip"),
        ("optimizer.slow_factor=0", "slow_factor above 0 and at most 1"),
        ("optimizer.slow_factor=2", "slow_factor above 0 and at most 1"),
        ("optimizer.boundaries=(0.5, 2)", "boundaries"),
        ("optimizer.boundaries=('a',)", "boundaries"),
        ("optimizer.factors=(-1,)", "factors"),
        ("augment.scale=('a', 'b')", "scale"),
    ],
)
def test_ill_typed_arguments_of_the_network_are_refused(override, hint):
    with pytest.raises(PoseError, match=hint):
        recipe.load("poseur_mobile_lsp", [override])


@pytest.mark.parametrize("size", [(128, "a"), (0, 128), (-32, 64), (64.0, 64), (64,), (64, 64, 64)])
def test_sides_that_are_none_are_refused(size):
    loaded = recipe.load("poseur_mobile_lsp", [f"network.input_size={size}"])
    with pytest.raises(PoseError, match="two whole numbers"):
        assert loaded.input_size


def test_boundaries_and_factors_can_be_set_one_after_the_other():
    given = ["schedule=steps", "boundaries=(0.5,)", "factors=(0.1,)"]
    loaded = recipe.load("repose_lite_lsp", [f"optimizer.{text}" for text in given])
    assert optimizers.build(loaded.optimizer, 10)
    alone = recipe.load("repose_lite_lsp", [f"optimizer.{given[1]}"])
    with pytest.raises(PoseError, match="as many boundaries as factors"):
        optimizers.build(alone.optimizer, 10)


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
