"""Graph-PCNN's graph convolution against equation 7 written as loops."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_pose import skeletons
from keras_pose.errors import PoseError
from keras_pose.layers.graph import GATINGS, GraphRefinement

GRAPHS, CHANNELS, UNITS = 5, 6, 4
LONELY = skeletons.Skeleton("lonely", ("a", "b", "c", "d"), ((0, 2), (2, 0), (2, 1)))
SKELETONS = [skeletons.COCO17, skeletons.LSP14, skeletons.MPII16, LONELY]


def layer(skeleton, gating="full"):
    keras.utils.set_random_seed(0)
    made = GraphRefinement(skeleton.edges, skeleton.count, UNITS, gating)
    made.build([(None, skeleton.count, CHANNELS)])
    return made


def given(skeleton, seed=0):
    """Features, heat, and reliability of about half of the key points."""
    draw = np.random.default_rng(seed)
    shape = (GRAPHS, skeleton.count)
    values = draw.normal(size=(*shape, CHANNELS)), draw.uniform(size=shape)
    return [np.float32(v) for v in (*values, draw.uniform(size=shape) > 0.5)]


def maps(made):
    """(source, target) to the linear map between them."""
    pairs = zip(made.sources.tolist(), made.targets.tolist(), strict=True)
    return dict(zip(pairs, ops.convert_to_numpy(made.kernel), strict=True))


def loop(made, skeleton, gating, features, heat, reliable):
    found, by_pair = np.zeros((GRAPHS, skeleton.count, UNITS)), maps(made)
    for m, k in np.ndindex(found.shape[:2]):
        total, mixed = 1.0, features[m, k] @ by_pair[k, k]
        for other in () if gating == "agnostic" else skeleton.neighbours(k):
            weight = {
                "full": heat[m, other] * reliable[m, other], "reliable": reliable[m, other]
            }.get(gating, 1.0)  # fmt: skip
            total, mixed = total + weight, mixed + weight * (features[m, other] @ by_pair[other, k])
        found[m, k] = mixed / total
    return found


@pytest.mark.parametrize("gating", GATINGS)
@pytest.mark.parametrize("skeleton", SKELETONS, ids=lambda s: s.name)
def test_it_is_equation_seven(skeleton, gating):
    made, inputs = layer(skeleton, gating), given(skeleton)
    np.testing.assert_allclose(made(inputs), loop(made, skeleton, gating, *inputs), atol=1e-5)


def test_with_every_gate_closed_it_is_the_plain_linear_map_but_not_with_all_open():
    skeleton = skeletons.COCO17
    features, heat, _ = given(skeleton)
    for gating, closes in (("full", True), ("reliable", True), ("agnostic", True), ("all", False)):
        made = layer(skeleton, gating)
        plain = np.einsum("mkc,kcu->mku", features, ops.convert_to_numpy(made.kernel)[:17])
        apart = np.abs(made([features, heat, 0 * heat]) - plain).max()
        assert apart < 1e-6 if closes else apart > 0.1, gating


def test_a_key_point_hears_itself_whatever_its_own_heat():
    skeleton = skeletons.COCO17
    made, (features, heat, reliable) = layer(skeleton), given(skeleton)
    expected = np.array(made([features, heat, reliable]))
    heat[:, 5], heard = 0.0, {5, *skeleton.neighbours(5)}
    found = np.array(made([features, heat, reliable]))
    changed = {k for k in range(17) if np.abs(found - expected)[:, k].max() > 1e-6}
    assert changed == heard - {5}


def test_it_is_a_mean_of_messages():
    """Z: where every neighbour says the same, it does not matter how much each counts."""
    skeleton = skeletons.LSP14
    made, (_, heat, reliable) = layer(skeleton), given(skeleton)
    made.kernel.assign(np.tile(np.eye(CHANNELS, UNITS), (len(made.sources), 1, 1)))
    same = np.tile(np.float32(np.arange(CHANNELS)), (GRAPHS, 14, 1))
    np.testing.assert_allclose(made([same, heat, reliable]), same[..., :UNITS], atol=1e-6)


@pytest.mark.parametrize("skeleton", SKELETONS, ids=lambda s: s.name)
def test_there_is_one_map_per_direction_and_key_point(skeleton):
    made = layer(skeleton)
    count = skeleton.count + 2 * len({frozenset(edge) for edge in skeleton.edges})
    assert {"coco17": 17 + 2 * 19, "lonely": 4 + 2 * 2}.get(skeleton.name, count) == count
    assert made.kernel.shape == (count, CHANNELS, UNITS)
    assert made.multiply_adds(None, None) == count * CHANNELS * UNITS
    assert layer(skeleton, "agnostic").kernel.shape[0] == skeleton.count


def test_a_silent_neighbour_teaches_its_map_nothing():
    import tensorflow as tf

    made, (features, heat, reliable) = layer(LONELY), given(LONELY)
    reliable[:] = 0.0
    reliable[:, 2] = 1.0
    with tf.GradientTape() as tape:
        loss = ops.sum(ops.square(made([features, heat, reliable])))
    moved = np.abs(tape.gradient(loss, made.kernel.value)).max(axis=(1, 2)) > 0
    pairs = zip(made.sources.tolist(), made.targets.tolist(), strict=True)
    expected = {(a, b): a in (b, 2) for a, b in pairs}
    assert dict(zip(expected, moved, strict=True)) == expected
    assert {(2, 0), (2, 1)} < set(expected)


def test_graphs_do_not_see_each_other():
    made, inputs = layer(skeletons.LSP14), given(skeletons.LSP14)
    together = np.array(made(inputs))
    for m in range(GRAPHS):
        alone = made([x[m : m + 1] for x in inputs])
        np.testing.assert_allclose(alone[0], together[m], atol=1e-6)


def test_an_unknown_gating_is_refused_and_a_config_makes_it_again():
    with pytest.raises(PoseError, match="gating among"):
        GraphRefinement((), 3, 4, "some")
    made = GraphRefinement(LONELY.edges, 4, UNITS, "reliable", name="g")
    again = GraphRefinement.from_config(made.get_config())
    assert again.get_config() == made.get_config()
