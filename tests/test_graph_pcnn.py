"""Graph-PCNN: what all networks must do, on a base of each kind, its counts and its weights."""

import keras
import numpy as np
import pytest
from model_checks import ARM, ModelChecks, batch, pictures, run, unsettle
from shallow import shallow

from keras_pose import models
from keras_pose.codecs import GaussianHeatmap, RefinedPoints, SoftmaxHeatmap
from keras_pose.errors import PoseError
from keras_pose.models import GraphPCNN, SimpleBaseline
from keras_pose.models.counting import count
from keras_pose.models.graph_pcnn import COPY
from keras_pose.task import PoseTask
from keras_pose.training import evaluate, state
from keras_pose.training.ema import Average

MOBILE = {
    "backbone": "mobilenet_v2", "alpha": 0.35, "level": 4, "deconvolutions": 1, "filters": 8,
    "sigma": 3.0, "decoder": "quarter",
}  # fmt: skip
TINY = {
    "base": "SimpleBaseline",
    "skeleton": ARM.to_dict(),
    "input_size": [32, 32],
    "base_arguments": MOBILE,
    "channels": 8,
    "hidden": [8],
    "threshold": 0.3,
    "points": 64,  # the loss of a few depends on which are drawn
    "offset_weight": 0.1,
}


def _tiny(**changes):
    keras.utils.set_random_seed(1)
    with shallow():
        return GraphPCNN(**{**TINY, **changes})


def heat_up(network, head="last_heatmaps"):
    """Maps whose highest cells are about 1, as after training, so that some gates are open."""
    unsettle(network)
    top = run(network, pictures(network, 8))["heatmaps"].max(axis=(0, 1, 2))
    layer = network.get_layer(head)
    layer.kernel.assign(layer.kernel / np.maximum(top, 1e-6))
    offset = network.get_layer("refined_offset")
    offset.kernel.assign(100 * offset.kernel)  # of its small start


class GraphChecks(ModelChecks):
    builder = "GraphPCNN"
    arguments = TINY
    reads = ("heatmaps",)
    teaches = (("features",), ("points",))
    int8_pixels = 0.5
    head = "last_heatmaps"

    def settle(self, network):
        heat_up(network, self.head)


class TestBehindSimpleBaseline(GraphChecks):
    outputs = {"heatmaps": (16, 16, 3), "points": (3, 3)}  # noqa: RUF012


def test_counts_of_the_paper_s_base():
    """Facts: conv5 14.96 M and three transposed convolutions 10.49 M beside SimpleBaseline."""
    network = GraphPCNN()
    before = count(network.learner())
    assert before.trainable == 59_451_729 == 33_999_697 + 25_452_032
    assert before.multiply_adds == pytest.approx(7.629e9, rel=1e-3)
    # 17 + 2 x 19 maps of the graph, two dense layers, three normalisations, the offset's head
    refinement = (17 + 2 * 19 + 2) * 256 * 256 + 3 * 2 * 256 + 257 * 2
    assert count(network).trainable == 59_451_729 + refinement
    assert PoseTask(network).criterion.draw.count == 192


def test_points_are_the_peaks_of_stage_1_moved_by_offsets_in_cells():
    network = _tiny()
    heat_up(network)
    images = pictures(network, 4)
    offset = network.get_layer("refined_offset")
    offset.kernel.assign(0 * offset.kernel)
    found = run(network, images)
    points, scores = network.codec_of("heatmaps").with_decoder("quarter").decode(found["heatmaps"])
    np.testing.assert_allclose(found["points"][..., :2], points, atol=1e-5)
    np.testing.assert_allclose(found["points"][..., 2], scores, atol=1e-6)
    offset.bias.assign([2.0, -1.0])  # of 16 cells
    moved = run(network, images)["points"]
    np.testing.assert_allclose(moved[..., :2] - points, 4 * [3 * [[2 / 16, -1 / 16]]], atol=1e-5)


def test_reliable_neighbours_are_heard_and_others_are_not():
    network, deaf, alone = (
        _tiny(**c) for c in ({"threshold": 0.0}, {"threshold": 1.1}, {"gating": "agnostic"})
    )
    heat_up(network)
    deaf.set_weights(network.get_weights())
    for layer in alone.layers:
        weights = network.get_layer(layer.name).get_weights()
        if layer.name == "refined_graph":
            weights = [weights[0][: alone.skeleton.count]]  # what a key point says to itself
        layer.set_weights(weights)
    images = pictures(network, 4)
    heard, unheard, own = (run(n, images)["points"] for n in (network, deaf, alone))
    np.testing.assert_allclose(unheard, own, atol=1e-5)
    assert np.abs(heard - unheard).max() > 1e-3


def test_stage_1_alone_costs_what_the_base_does_and_comes_out_of_a_file_of_two(tmp_path):
    network, path = _tiny(), tmp_path / "both.keras"
    heat_up(network)
    network.save(path)
    first = _tiny(stages=1, weights=path)
    with shallow():
        base = SimpleBaseline(ARM, (32, 32), **MOBILE)
    assert count(first) == count(base) and first.codec == base.codec
    assert not [x.name for x in first.layers if x.name.startswith((COPY, "refined", "guided"))]
    images = pictures(network)
    expected = run(network, images)["heatmaps"]
    np.testing.assert_array_equal(run(first, images)["heatmaps"], expected)
    first.save(tmp_path / "one.keras")
    with shallow():
        again = models.load(tmp_path / "one.keras")
    np.testing.assert_array_equal(run(again, images)["heatmaps"], expected)
    second = _tiny(weights=tmp_path / "one.keras")  # and is a base to begin with
    np.testing.assert_array_equal(run(second, images)["heatmaps"], expected)
    task, (x, y) = PoseTask(again), batch(again)
    assert np.isfinite(float(task.compute_loss(x, y, task(x, training=True))))


def test_the_copy_begins_with_what_the_base_begins_with(tmp_path):
    keras.utils.set_random_seed(3)
    with shallow():
        base = SimpleBaseline(ARM, (32, 32), **MOBILE)
    unsettle(base)
    base.save(tmp_path / "base.keras")
    network = _tiny(weights=tmp_path / "base.keras")
    images = pictures(network)
    np.testing.assert_array_equal(run(network, images)["heatmaps"], run(base, images)["heatmaps"])
    copies = [x for x in network.layers if x.name.startswith(COPY) and x.weights]
    assert {f"{COPY}block_1_project", f"{COPY}deconv1_conv"} <= {x.name for x in copies}
    for layer in copies:
        first = base.get_layer(layer.name.removeprefix(COPY))
        for mine, given in zip(layer.get_weights(), first.get_weights(), strict=True):
            np.testing.assert_array_equal(mine, given)
    trunk = _tiny(weights=f"backbone:{tmp_path / 'base.keras'}")
    for name in ("block_1_project", f"{COPY}block_1_project"):
        expected = base.get_layer("block_1_project").get_weights()
        np.testing.assert_array_equal(trunk.get_layer(name).get_weights(), expected)


def test_what_only_training_knows_may_differ_from_the_file(tmp_path):
    network, path = _tiny(), tmp_path / "both.keras"
    network.save(path)
    other = _tiny(points=16, proportion=(1, 2, 0), shuffle=False, threshold=0.5, weights=path)
    for mine, given in zip(other.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, given)
    for changes, words in (
        ({"channels": 16}, "channels=8 in the file"),
        ({"base_arguments": {**MOBILE, "sigma": 4.0}}, "sigma=3.0 in the file"),
        ({"skeleton": "lsp14"}, "14 key points"),
    ):
        stages = 1 if "base_arguments" in changes else 2
        with pytest.raises(PoseError, match=words):
            _tiny(**changes, stages=stages, weights=path)


def test_stage_1_of_a_file_can_be_scored_and_read_by_any_decoder(tmp_path):
    network, path = _tiny(), tmp_path / "both.keras"
    heat_up(network)
    network.save(path)
    images = pictures(network)
    maps = run(network, images)["heatmaps"]
    codec = network.codec_of("heatmaps")
    assert isinstance(codec, GaussianHeatmap) and isinstance(network.codec, RefinedPoints)
    for decoder in ("", "dark"):
        with shallow():
            predict, *_ = evaluate.open_model(path, "heatmaps", decoder=decoder)
        expected, _ = codec.with_decoder(decoder or "quarter").decode(maps)
        found, _ = predict(images)
        np.testing.assert_allclose((found + 0.5) / 32, expected, atol=1e-4)
    with shallow():
        refined, *_ = evaluate.open_model(path)
    expected = run(network, images)["points"][..., :2]
    np.testing.assert_allclose((refined(images)[0] + 0.5) / 32, expected, atol=1e-4)
    with shallow(), pytest.raises(PoseError, match="refined points"):
        evaluate.open_model(path, decoder="dark")


def test_a_resumed_run_draws_the_points_that_it_would_have_drawn(tmp_path):
    def compiled():
        task = PoseTask(_tiny())
        task.compile(optimizer=keras.optimizers.Adam(1e-3), run_eagerly=True)
        task.optimizer.build(task.trainable_variables)
        return task, Average(task.network, 0.9)

    task, average = compiled()
    assert len({id(v) for v in task.trainable_variables}) == len(task.trainable_variables)
    x, y = batch(task.network)
    task.train_on_batch(x, y)
    state.save(tmp_path / "last.state", task, average, {})
    again, average = compiled()
    drawn = [x.criterion.draw.seed.state.numpy().tolist() for x in (task, again)]
    assert drawn[0] != drawn[1]
    state.restore(tmp_path / "last.state", again, average)
    for each in (task, again):
        each.train_on_batch(x, y)
    for mine, given in zip(again.variables, task.variables, strict=True):
        np.testing.assert_allclose(mine.numpy(), given.numpy(), atol=1e-6)


def test_softmax_maps_have_a_second_stage_too():
    network = _tiny(base_arguments={**MOBILE, "loss": "softmax"})
    assert isinstance(network.codec_of("heatmaps"), SoftmaxHeatmap)
    task = PoseTask(network)
    x, y = batch(network)
    assert np.isfinite(float(task.compute_loss(x, y, task(x, training=True))))
    scores = run(network, pictures(network))["points"][..., 2]
    assert (scores >= 0).all() and (scores <= 1).all()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"base": "CPMMobile", "base_arguments": {"stages": 2}}, "last stage can be copied"),
        ({"base": "Nothing"}, "network of heatmaps in keras_pose.models"),
        ({"base": "load", "base_arguments": None}, "network of heatmaps in keras_pose.models"),
        ({"base": "GraphPCNN", "base_arguments": None}, "network of heatmaps"),
        ({"base_arguments": {"skeleton": "coco17"}}, "base_arguments as arguments of Simple"),
        ({"base_arguments": {"stride": 4}}, "base_arguments as arguments of Simple"),
        ({"base_arguments": [1]}, "base_arguments as a dict"),
        ({"base_arguments": {"level": 6}}, "levels of resnet50"),
        ({"input_size": (48, 32)}, "multiples of 32"),
        ({"channels": 0}, "channels"),
        ({"hidden": 8}, "hidden"),
        ({"gating": "some"}, "a gating among"),
        ({"threshold": "high"}, "threshold"),
        ({"points": 0}, "guided points"),
        ({"points": 1000}, "guided points"),
        ({"proportion": (1, 2)}, "proportion"),
        ({"shuffle": 1}, "shuffle as True or False"),
        ({"offset_weight": -1}, "offset_weight"),
        ({"stages": 3}, "stages as 1 or 2"),
        ({"weights": 3}, "weights as"),
        ({"weights": "missing.npz"}, "does not exist"),
    ],
    ids=str,
)
def test_what_cannot_be_built_is_refused(changes, words):
    with pytest.raises(PoseError, match=words) as refusal:
        _tiny(**changes)
    assert refusal.value.advice
