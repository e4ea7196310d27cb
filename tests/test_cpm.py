"""CPM: what all networks must do, its published counts and receptive fields, what it is taught."""

import keras
import numpy as np
import pytest
from keras import layers, ops
from model_checks import ARM, ModelChecks, batch, pictures, run

from keras_pose.errors import PoseError
from keras_pose.layers.center import CenterMap
from keras_pose.models import CPM
from keras_pose.models.counting import count
from keras_pose.models.receptive import receptive_fields
from keras_pose.skeletons import COCO17, LSP14, MPII16, Skeleton

TINY = {
    "skeleton": ARM.to_dict(),
    "stages": 3,
    "input_size": [32, 40],
    "channels": 6,
    "wide": 8,
    "deviation": 0.1,
    "dropout": 0.1,
}


class TestCPM(ModelChecks):
    builder = "CPM"
    arguments = TINY
    outputs = {  # noqa: RUF012
        "stage1": (4, 5, 4), "stage2": (4, 5, 4), "stage3": (4, 5, 4), "heatmaps": (4, 5, 3)
    }  # fmt: skip


@pytest.mark.parametrize(
    "stages, millions", [(2, 11.90), (3, 16.73), (4, 21.56), (5, 26.39), (6, 31.22)]
)
def test_parameters_by_stages(stages, millions):
    network = CPM(stages=stages)
    assert round(count(network).parameters / 1e6, 2) == millions
    assert network.output[f"stage{stages}"].shape == (None, 46, 46, 15)
    assert network.output["heatmaps"].shape == (None, 46, 46, 14)
    assert f"stage{stages + 1}" not in network.output


def test_multiply_adds_of_the_released_network():
    counts = count(CPM())
    assert round(counts.multiply_adds / 1e9, 2) == 175.44
    assert counts.trainable == counts.parameters  # no normalisation
    paper = count(CPM(pooling="paper"))  # the same layers after windows of another size
    assert (paper.parameters, paper.multiply_adds) == (counts.parameters, counts.multiply_adds)


FLIC9 = Skeleton("nine", tuple(f"part{k}" for k in range(9)), ())


@pytest.mark.parametrize("skeleton, millions", [(FLIC9, 30.83), (MPII16, 31.38)])
def test_parameters_by_key_points(skeleton, millions):
    assert round(count(CPM(skeleton)).parameters / 1e6, 2) == millions


@pytest.mark.parametrize(
    "pooling, first", [("paper", [9, 26, 60, 96, 160]), ("released", [9, 27, 63, 103, 167])]
)
def test_receptive_fields(pooling, first):
    """Figure 2e, and what the released pools make of it; 80 pixels for every 11 x 11."""
    fields = receptive_fields(CPM(stages=3, pooling=pooling, skeleton=COCO17))
    assert [fields[f"stage1_conv{i}"] for i in range(1, 6)] == first
    assert fields["stage1"] == first[-1]
    for stage in (2, 3):
        before = first[-1] + 240 * (stage - 2)
        later = [fields[f"stage{stage}_conv{i}"] for i in range(1, 5)]
        assert later == [before + 80, before + 160, before + 240, before + 240]


@pytest.mark.parametrize("pooling", ["paper", "released"])
def test_a_stage_sees_no_further_than_its_receptive_field(pooling):
    network = CPM(**{**TINY, "input_size": [32, 256], "stages": 2, "pooling": pooling})
    field = receptive_fields(network)["stage1"]
    images = pictures(network, 1).astype(np.float32)
    changed = images.copy()
    changed[:, :, 128:] = 255 - changed[:, :, 128:]
    before, after = (run(network, x)["stage1"] for x in (images, changed))
    moved = np.flatnonzero((before != after).any(axis=(0, 1, 3)))
    # cell g looks at pixels about 8 g + 3.5
    assert moved.min() >= (128 - field / 2 - 8) / 8
    assert moved.min() <= (128 - field / 2 + 16) / 8


def test_kernels_move_the_receptive_field():
    small = {**TINY, "stages": 2, "input_size": [64, 64]}
    fields = [receptive_fields(CPM(**{**small, "kernels": k})) for k in ((3, 3), (5, 7, 9))]
    assert [f["heatmaps"] - f["stage1"] for f in fields] == [8 * 4, 8 * 18]


@pytest.mark.parametrize(
    "unknown, named",
    [
        (layers.Conv2DTranspose(2, 4, 2, padding="same"), "Conv2DTranspose"),
        (lambda x: ops.image.resize(x, (8, 8)), "Resize"),
        (lambda x: ops.flip(x, axis=2), "Flip"),  # of the same size
        (layers.GlobalAveragePooling2D(keepdims=True), "GlobalAveragePooling2D"),
        (layers.UpSampling2D(2, interpolation="bicubic"), "UpSampling2D"),
        (lambda x: layers.Concatenate(axis=1)([x, x]), "Concatenate"),
    ],
)
def test_what_is_not_known_to_see_a_square_is_refused(unknown, named):
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(2, 3, name="before")(layers.ZeroPadding2D(1)(image))
    assert receptive_fields(keras.Model(image, x))["before"] == 3
    x = layers.ReLU()(unknown(x))
    with pytest.raises(PoseError, match=f"a {named}"):
        receptive_fields(keras.Model(image, x))


def test_an_enlarged_map_has_smaller_steps():
    image = keras.Input((16, 16, 3))
    x = layers.UpSampling2D(2, interpolation="bilinear", name="larger")(image)
    x = layers.Conv2D(2, 5, name="after")(x)
    assert receptive_fields(keras.Model(image, x)) == {"larger": 2, "after": 4}


def test_stages_share_the_features_and_nothing_else():
    names = [layer.name for layer in CPM(**TINY).layers if layer.weights]
    assert sum(name.startswith("features_") for name in names) == 3
    for stage in (2, 3):
        assert sum(name.startswith(f"stage{stage}_") for name in names) == 6
    alone = CPM(**{**TINY, "stages": 1})
    assert not any(layer.name.startswith("features_") for layer in alone.layers)
    assert set(alone.output) == {"stage1", "heatmaps"}


def test_kernels_begin_normal_and_biases_at_zero():
    network = CPM(stages=2, input_size=(64, 64))
    for weight in network.trainable_variables:
        values = weight.numpy()
        if weight.name == "bias":
            assert not values.any()
        elif values.size > 5000:
            assert values.std() == pytest.approx(0.01, rel=0.05)
            assert abs(values.mean()) < 5e-4


def test_the_network_sees_pixels_in_red_green_blue_over_256():
    network = CPM(**TINY)
    seen = keras.Model(network.inputs[0], network.get_layer("normalise").output)
    image = np.zeros((1, 32, 40, 3), np.float32)
    image[..., 0] = 64
    np.testing.assert_allclose(seen(image)[0, 0, 0], [-0.25, -0.5, -0.5])


def test_the_center_map_marks_the_middle():
    layer = CenterMap(21.0)
    found = layer(np.zeros((2, 46, 46, 3), np.float32)).numpy()
    assert found.shape == (2, 46, 46, 1) and np.array_equal(found[0], found[1])
    row, column = np.unravel_index(found[0, ..., 0].argmax(), (46, 46))
    assert (row, column) == (22, 22)  # the window of pixels 176..184, the middle being 183.5
    pixels = np.arange(368) - 183.5
    bump = np.exp(-(pixels**2) / (2 * 21.0**2))
    expected = np.outer(bump, bump)
    assert found[0, 22, 20, 0] == pytest.approx(expected[176:185, 160:169].mean(), rel=1e-5)
    assert found[0, 45, 20, 0] == pytest.approx(expected[360:, 160:169].mean(), rel=1e-4)
    again = CenterMap.from_config(layer.get_config())
    assert np.array_equal(again(np.zeros((2, 46, 46, 3), np.float32)).numpy(), found)


def _truth(**changes):
    network = CPM(**{**TINY, "others": 2, **changes})
    _, y = batch(network)
    draw = np.random.default_rng(7)
    y["others"] = draw.uniform(0.2, 0.8, (2, 2, 3, 2)).astype(np.float32)
    y["others_visible"] = np.float32([[[1, 1, 0], [0, 0, 0]], [[1, 1, 1], [1, 1, 1]]])
    return network, y


def _gaussian(network, point):
    """One key point's map, cell by cell: cell g stands for pixel 8 g + 3.5."""
    h, w = network.codec.map_size
    height, width = network.input_size
    x, y = point[0] * width - 0.5, point[1] * height - 0.5
    found = np.zeros((h, w))
    for row in range(h):
        for column in range(w):
            apart = (8 * column + 3.5 - x) ** 2 + (8 * row + 3.5 - y) ** 2
            value = np.exp(-apart / (2 * network.codec.sigma**2))
            found[row, column] = value if value >= 0.01 else 0.0
    return found


def test_stage_one_is_taught_everybody_and_later_stages_the_person_in_the_middle():
    network, y = _truth()
    y["visible"][0, 1] = 0
    everyone, own = (t.numpy() for t in network.criterion().targets(y))
    for b in range(2):
        for k in range(3):
            mine = y["visible"][b, k] * _gaussian(network, y["keypoints"][b, k])
            theirs = sum(
                y["others_visible"][b, m, k] * _gaussian(network, y["others"][b, m, k])
                for m in range(2)
            )
            np.testing.assert_allclose(own[b, ..., k], mine, atol=1e-5)
            np.testing.assert_allclose(everyone[b, ..., k], np.minimum(mine + theirs, 1), atol=1e-5)
    for maps in (everyone, own):
        np.testing.assert_allclose(maps[..., 3], 1 - maps[..., :3].max(axis=-1), atol=1e-6)
    assert (everyone[..., :3] > own[..., :3]).any() and everyone.max() <= 1


def _outputs(network, value=0.3):
    h, w = network.codec.map_size
    names = [n for n in network.output if n.startswith("stage")]
    draw = np.random.default_rng(1)
    return {n: draw.normal(value, 0.2, (2, h, w, 4)).astype(np.float32) for n in names}


def test_the_cost_is_half_the_squared_error_of_a_picture_summed_over_stages():
    network, y = _truth()
    y["visible"][1, 2] = 0
    criterion, found = network.criterion(), _outputs(network)
    everyone, own = (t.numpy() for t in criterion.targets(y))
    expected = {}
    for name, maps in found.items():
        error = (maps - (everyone if name == "stage1" else own)) ** 2
        error[1, ..., 2] = 0  # not annotated
        expected[name] = error.sum() / (2 * 2)
    costs = {name: float(cost) for name, cost in criterion.costs(found, y).items()}
    assert costs == pytest.approx(expected, rel=1e-5)
    assert float(criterion(found, y)) == pytest.approx(sum(expected.values()), rel=1e-5)
    last = CPM(**{**TINY, "supervised": "last"}).criterion()
    assert float(last(found, y)) == pytest.approx(expected["stage3"], rel=1e-5)


def test_a_crop_without_a_person_is_all_background():
    network, y = _truth()
    y["person"][:] = 0
    y["others_visible"][:] = 0
    criterion = network.criterion()
    for target in criterion.targets(y):
        assert not target.numpy()[..., :3].any() and (target.numpy()[..., 3] == 1).all()
    empty = {n: np.tile(np.float32([0, 0, 0, 1]), (2, 4, 5, 1)) for n in _outputs(network)}
    assert float(criterion(empty, y)) == 0
    y["visible"][:] = 0  # whatever a batch says of its key points, every map counts
    empty["stage2"][0, 0, 0, 1] = 1
    assert float(criterion(empty, y)) == pytest.approx(1 / 4)


def test_nobody_else_is_a_batch_without_others():
    network, y = _truth()
    y["others_visible"][:] = 0
    found = _outputs(network)
    alone = {k: v for k, v in y.items() if not k.startswith("others")}
    criterion = network.criterion()
    assert float(criterion(found, y)) == pytest.approx(float(criterion(found, alone)), rel=1e-6)
    everyone, own = criterion.targets(y)
    assert np.array_equal(everyone, own)


def test_heatmaps_are_the_last_stage_without_its_background():
    network = CPM(**TINY)
    found = run(network, pictures(network))
    np.testing.assert_array_equal(found["heatmaps"], found["stage3"][..., :3])


def test_a_network_begins_with_the_weights_of_one_built_alike(tmp_path):
    source = CPM(**{**TINY, "supervised": "last"})
    source.save(tmp_path / "cpm.keras")
    network = CPM(**TINY, weights=str(tmp_path / "cpm.keras"))
    for mine, theirs in zip(network.get_weights(), source.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    with pytest.raises(PoseError, match="stages"):
        CPM(**{**TINY, "stages": 2}, weights=str(tmp_path / "cpm.keras"))


@pytest.mark.parametrize(
    "changes, hint",
    [
        ({"input_size": (100, 100)}, "multiples of 8"),
        ({"input_size": (16, 64)}, "multiples of 8, 24"),
        ({"stages": 0}, "stages as a whole number from 1"),
        ({"pooling": "largest"}, "pooling among"),
        ({"supervised": "some"}, "supervised among"),
        ({"kernels": (4,)}, "odd"),
        ({"kernels": ()}, "odd"),
        ({"dropout": 1.0}, "dropout"),
        ({"others": -1}, "others"),
        ({"deviation": 0.0}, "deviation"),
        ({"center_sigma": -1.0}, "center_sigma"),
        ({"weights": 3}, "weights"),
    ],
)
def test_what_cannot_be_built_is_refused(changes, hint):
    with pytest.raises(PoseError, match=hint):
        CPM(**{**TINY, **changes})


def test_lsp_is_the_default():
    assert CPM(stages=1, input_size=(64, 64)).skeleton == LSP14
