"""CPM's ways of training: stages that grow on frozen ones; and what its figures are made from."""

import csv
import dataclasses
import sys

import dots
import numpy as np
import pytest
import train_worker
from conftest import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))

import cpm_gradients
import cpm_receptive_field
import cpm_schemes
import cpm_stages
import trainings

from keras_pose import models, skeletons
from keras_pose.errors import PoseError
from keras_pose.models import start
from keras_pose.training import evaluate
from keras_pose.training.evaluate import Found

SIZES = {
    "input_size": (24, 24), "channels": 2, "wide": 4, "kernels": (3,), "deviation": 0.3,
    "sigma": 8.0,
}  # fmt: skip


def cpm(stages, weights=None, **more):
    return models.CPM("lsp14", stages=stages, weights=weights, **{**SIZES, **more})


def named(network):
    """Layer name to weights, of layers that have any."""
    return {layer.name: layer.get_weights() for layer in network.layers if layer.weights}


@pytest.fixture(scope="module")
def recipe():
    base = dataclasses.replace(train_worker.recipe(), deterministic=False, name="tiny_cpm")
    return dataclasses.replace(
        base, builder="CPM", network={**SIZES, "stages": 2}, epochs=4, validate=4
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for split, count in (("train", 8), ("val", 4)):
        dots.write(dots.DotsReader(count, (240, 300)), folder / split, ".jpg")
    return str(folder)


@pytest.mark.parametrize("stages, epochs", [(2, 4), (3, 12), (6, 13), (1, 2)])
@pytest.mark.parametrize("scheme", cpm_schemes.SCHEMES)
def test_every_scheme_has_as_many_epochs_in_all(scheme, stages, epochs):
    planned = cpm_schemes.phases(scheme, stages, epochs)
    assert sum(phase.epochs for phase in planned) == epochs
    assert min(phase.epochs for phase in planned) >= 1 and planned[-1].stages == stages
    alone = [phase.stages for phase in planned if phase.alone]
    assert alone == (list(range(1, stages + 1)) if scheme in ("ii", "iii") else [])
    joint = [phase.supervised for phase in planned if not phase.alone]
    assert joint == {"i": ["all"], "ii": [], "iii": ["all"], "iv": ["last"]}[scheme]


def test_too_few_epochs_are_refused():
    with pytest.raises(PoseError, match="12 epochs"):
        cpm_schemes.phases("iii", 6, 10)


def test_a_longer_network_begins_with_the_stages_of_a_shorter_one(tmp_path):
    path = tmp_path / "two.keras"
    short = cpm(2)
    short.save(path)
    fresh, grown = cpm(3), cpm(3, f"stages:{path}", supervised="last", dropout=0.0)
    for name, weights in named(short).items():
        for given, own in zip(weights, named(grown)[name], strict=True):
            np.testing.assert_array_equal(given, own)
    new = named(grown).keys() - named(short).keys()
    assert new and new == {n for n in named(fresh) if n.startswith("stage3_")}
    image = np.random.default_rng(0).uniform(0, 255, (2, 24, 24, 3)).astype(np.float32)
    for name in ("stage1", "stage2"):
        np.testing.assert_allclose(short(image)[name], grown(image)[name], atol=1e-6)
    assert start.short(f"stages:{path}") == f"stages:{tmp_path.name}/two.keras"


@pytest.mark.parametrize(
    "stages, more, said",
    [
        (1, {}, "stages=1 at most"),  # the file has more
        (3, {"kernels": (5,)}, "kernels"),
        (3, {"channels": 3}, "channels"),
        (3, {"pooling": "paper"}, "pooling"),
    ],
)
def test_stages_that_do_not_fit_are_refused(tmp_path, stages, more, said):
    path = tmp_path / "two.keras"
    cpm(2).save(path)
    with pytest.raises(PoseError, match=said):
        cpm(stages, f"stages:{path}", **more)


def test_stages_of_another_network_or_skeleton_are_refused(tmp_path):
    path = tmp_path / "one.keras"
    models.CPM(skeletons.get("coco17"), stages=1, **SIZES).save(path)
    with pytest.raises(PoseError, match="17"):
        cpm(2, f"stages:{path}")
    with pytest.raises(PoseError, match="RePoseLite"):
        models.RePoseLite(size="s", input_size=(32, 32), weights=f"stages:{path}")


def test_frozen_layers_are_not_trained(recipe):
    whole = recipe.build("lsp14")
    frozen = dataclasses.replace(recipe, frozen=("stage1", "features_conv1")).build("lsp14")
    kept = {w.path for w in whole.trainable_weights} - {w.path for w in frozen.trainable_weights}
    expected = [w.path for w in whole.weights if w.path.startswith(("stage1_", "features_conv1"))]
    assert kept == set(expected) and len(expected) == 16
    for name in ("stage", "stage9", "stage1_conv"):  # whole words alone
        with pytest.raises(PoseError, match=r"stage1, stage2"):
            dataclasses.replace(recipe, frozen=(name,)).build("lsp14")


def test_stage_wise_training_moves_the_new_stage_alone(recipe, data, tmp_path):
    first, second = cpm_schemes.train("ii", dataclasses.replace(recipe, epochs=2), data, tmp_path)
    before, after = (named(models.load(path)) for path in (first, second))
    assert len(before) == 7
    for name, weights in before.items():
        for old, new in zip(weights, after[name], strict=True):
            np.testing.assert_array_equal(old, new, err_msg=name)
    untouched = cpm_schemes.recipe_of(cpm_schemes.Phase(2, 1, "last", True), recipe, first)
    assert untouched.network["dropout"] == 0.0 and set(untouched.frozen) == set(before)
    initial = named(untouched.build("lsp14"))
    moved = {
        name for name, weights in after.items()
        if not all(np.array_equal(a, b) for a, b in zip(weights, initial[name], strict=True))
    }  # fmt: skip
    assert moved == after.keys() - before.keys() and "features_conv1" in moved
    # called again, everything is there already
    stamps = [path.stat().st_mtime_ns for path in (tmp_path / "ii_1" / "last.keras",)]
    assert cpm_schemes.train("ii", dataclasses.replace(recipe, epochs=2), data, tmp_path)
    assert stamps == [(tmp_path / "ii_1" / "last.keras").stat().st_mtime_ns]
    # each stage's maps are scored, without the background's
    found = trainings.found(second, data, recipe, "stage1")
    assert found.predicted.shape == (4, 14, 2)
    assert cpm_stages.stage_outputs(second) == ["stage1", "stage2"]
    network = models.load(second)
    image = np.zeros((1, 24, 24, 3), np.uint8)
    last, named_last = (evaluate.of_network(network, o)(image) for o in (None, "stage2"))
    np.testing.assert_allclose(last[0], named_last[0], atol=1e-4)
    np.testing.assert_allclose(trainings.scored(second, data, recipe)["persons"], 4)


def test_a_scheme_becomes_a_line_of_the_table(recipe, data, tmp_path, monkeypatch):
    short = dataclasses.replace(recipe, epochs=1)
    opened = (short, data, tmp_path / "runs", tmp_path)
    monkeypatch.setattr(trainings, "opened", lambda given: opened)
    cpm_schemes.main(["--schemes", "iv"])
    with open(tmp_path / "cpm_schemes.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["scheme"], row["epochs"], row["runs"], row["persons"]) == ("iv", "1", "1", "4")
    assert 0 <= float(row["pck@0.2"]) <= 100 and "cpm_schemes.py" in row["command"]


def test_the_joint_phase_goes_on_with_all_that_was_stacked(recipe, tmp_path):
    """Scheme (iii): what (ii) leaves, nothing of it frozen, with the recipe's own dropout."""
    *alone, joint = cpm_schemes.phases("iii", 2, 4)
    before, draw = None, np.random.default_rng(0)
    for number, phase in enumerate(alone, 1):
        network = cpm_schemes.recipe_of(phase, recipe, before).build("lsp14")
        for weight in network.trainable_weights:  # as if trained
            weight.assign(weight + draw.normal(0, 0.1, weight.shape))
        before = tmp_path / f"{number}.keras"
        network.save(before)
    own = cpm_schemes.recipe_of(joint, recipe, before)
    started = own.build("lsp14")
    assert own.frozen == () and all(layer.trainable for layer in started.layers)
    assert len(started.trainable_weights) == len(started.weights) > len(network.trainable_weights)
    assert started.arguments["supervised"] == "all" and started.arguments["dropout"] == 0.5
    kept = named(network)
    assert kept.keys() == named(started).keys()
    for name, weights in named(started).items():
        for mine, theirs in zip(weights, kept[name], strict=True):
            np.testing.assert_array_equal(mine, theirs, err_msg=name)


def test_stages_of_a_given_network_are_called_by_its_name(recipe, data, tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    cpm(2).save(tmp_path / "mine" / "best.keras")
    opened = (recipe, data, tmp_path / "runs", tmp_path)
    monkeypatch.setattr(trainings, "opened", lambda given: opened)
    cpm_stages.main(["--model", str(tmp_path / "mine" / "best.keras")])
    with open(tmp_path / "cpm_stages.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert {line["model"] for line in lines} == {"mine/best.keras"}
    assert {line["stage"] for line in lines} == {"1", "2"} and len(lines) == 2 * 21


def test_a_recipe_without_stages_is_refused():
    with pytest.raises(PoseError, match="cpm_figures"):
        cpm_schemes.stages_of(train_worker.recipe())


def test_a_curve_rises_with_the_threshold(tmp_path):
    reader = dots.DotsReader(20)
    truth = np.stack([s.keypoints for s in reader.samples])
    noise = np.random.default_rng(0).normal(0, 12, truth.shape)
    seen = np.ones(truth.shape[:2], bool)
    curve = cpm_stages.curve(Found(truth + noise, truth, seen, reader.skeleton))
    assert len(curve) == 21 and curve[0] == 0 and (np.diff(curve) >= 0).all() and curve[-1] > 50
    assert cpm_stages.curve(Found(truth, truth, seen, reader.skeleton)) == [100.0] * 21
    cpm_stages.picture({"stage1": curve, "stage2": [100.0] * 21}, tmp_path / "stages.png")
    assert (tmp_path / "stages.png").stat().st_size > 1000


@pytest.mark.parametrize("by", cpm_receptive_field.WAYS)
def test_what_is_varied_widens_the_view(recipe, by):
    rows = [
        cpm_receptive_field.measure(cpm_receptive_field.varied(recipe, way, 304), "lsp14")
        for way in cpm_receptive_field.WAYS[by]
    ]
    fields = [row["receptive_field"] for row in rows]
    shares = [row["share_of_input"] for row in rows]
    if by == "scale":  # the same network sees less and less of the crop
        assert set(fields) == {208} and shares == sorted(shares, reverse=True)
    else:  # from what stage 1 sees to more than all of the crop; 400 is the paper's own
        most = {"kernels": [160, 208, 256, 304, 352, 400], "depth": list(range(192, 353, 32))}
        assert fields == most[by] and {row["input_side"] for row in rows} == {304}
    assert all(row["parameters"] > 0 and row["gmac"] > 0 for row in rows)


def test_magnitudes_are_summarised_and_drawn(tmp_path):
    values = np.array([0.0, 1e-3, 1e-3, 2.0], np.float32)
    made = cpm_gradients.summary(values)
    counts, zeros, size, variance = made[:-3], *made[-3:]
    assert counts.sum() == 3 and zeros == 0.25
    assert counts[np.searchsorted(cpm_gradients.EDGES, -3) - 1 :][:2].sum() == 2
    assert size == pytest.approx(1.0, rel=1e-3) and variance == pytest.approx(values.var())
    for epoch in (1, 3):
        np.savez(cpm_gradients.kept(tmp_path, epoch), stage1_conv1=made, stage2_conv1=made)
    found = cpm_gradients.read(tmp_path, [1, 3])
    assert list(found) == [1, 3] and np.array_equal(found[3]["stage2_conv1"], made)
    cpm_gradients.picture({"all": found, "last": found}, tmp_path / "gradients.png")
    assert (tmp_path / "gradients.png").stat().st_size > 1000
    with pytest.raises(PoseError, match="epoch 2"):
        cpm_gradients.read(tmp_path, [2])
