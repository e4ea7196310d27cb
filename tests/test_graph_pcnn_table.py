"""The table of Graph-PCNN: what an answer is read from, and the lines of a run."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT
from model_checks import pictures, run
from shallow import shallow
from test_graph_pcnn import _tiny, heat_up

sys.path.insert(0, str(ROOT / "benchmarks"))

import graph_pcnn
import lineage

from keras_pose.data.open import open_reader
from keras_pose.errors import PoseError
from keras_pose.models import network as networks
from keras_pose.training import evaluate, state


def _network(*outputs, builder="a builder", extra_inputs=()):
    return SimpleNamespace(
        output=dict.fromkeys(outputs), prediction=outputs[-1], builder=builder,
        extra_inputs=extra_inputs,
    )  # fmt: skip


def test_two_stages_are_read_in_two_ways_more_than_their_base():
    alone = graph_pcnn.ways(_network("heatmaps"))
    both = graph_pcnn.ways(_network("heatmaps", "points"))
    assert [name for name, _, _ in alone] == [f"base alone, {d}" for d in graph_pcnn.DECODERS]
    assert [name for name, _, _ in both[:-2]] == [f"stage 1, {d}" for d in graph_pcnn.DECODERS]
    assert both[-2:] == [("stage 2", "points", ""), (graph_pcnn.DEAF, "points", "")]


def test_neighbours_that_are_not_heard_say_nothing(tmp_path):
    """Alike where nobody was relied on, and different where everybody was."""
    for threshold, alike in ((-1.0, False), (1.5, True)):
        network, path = _tiny(threshold=threshold), tmp_path / f"{alike}.keras"
        heat_up(network)
        network.save(path)
        shown = pictures(network, 4)
        with shallow():
            without = graph_pcnn.deaf(network, path)
        answers = [run(one, shown)["points"] for one in (network, without)]
        assert np.allclose(*answers, atol=1e-5) == alike


@pytest.mark.parametrize(
    "made",
    [
        _network("coordinates"),
        _network("heatmaps", builder="PoseFix", extra_inputs=("pose",)),
        _network("estimated", "heatmaps", builder="EndToEnd"),
    ],
    ids=["no maps", "a refiner", "a refiner behind an estimator"],
)
def test_what_has_no_stages_is_refused(made):
    with pytest.raises(PoseError, match=rf"picture alone\. Received a {made.builder}"):
        graph_pcnn.ways(made)


def test_a_line_says_what_was_read_and_from_which_run(monkeypatch, tmp_path):
    """Stage 2 answers here with the middle of the crop, and so does only DARK of stage 1."""
    reader = open_reader("figures:4", "val")
    made = _network("heatmaps", "points")
    made.skeleton, made.input_size = reader.skeleton, (64, 64)
    made.notes = {"commit": "", "crop_margin": 1.25, "start": "first/best.keras"}
    asked = []

    def predictor(model, output=None, scales=(), decoder=""):
        assert model is made
        asked.append((output, decoder))
        place = 31.5 if decoder in ("", "dark") else -200.0
        shape = (reader.skeleton.count, 2)
        return lambda patches: (
            np.full((len(patches), *shape), place), np.ones((len(patches), shape[0]))
        )  # fmt: skip

    monkeypatch.setattr(networks, "load", lambda path: made)
    monkeypatch.setattr(graph_pcnn, "deaf", lambda model, path: made)
    monkeypatch.setattr(evaluate, "of_network", predictor)
    recipe = {"seed": 7, "epochs": 3}
    monkeypatch.setattr(state, "read_position", lambda path: {"recipe": recipe})
    monkeypatch.setattr(lineage, "settings", lambda run, commit: "seed=7")
    lines = list(graph_pcnn.rows(tmp_path / "two", reader))
    assert asked == [*(("heatmaps", d) for d in graph_pcnn.DECODERS), *[("points", "")] * 2]
    assert {(x["run"], x["seed"], x["epochs"], x["start"]) for x in lines} == {
        ("two", 7, 3, "first/best.keras")
    }
    found = {x["read"]: x["pck@0.2"] for x in lines}
    assert found["stage 1, argmax"] == found["stage 1, quarter"] == 0
    assert found["stage 1, dark"] == found["stage 2"] > 0
