"""CPMMobile: what all networks must do, and what it keeps of CPM."""

import numpy as np
import pytest
from model_checks import ARM, ModelChecks, pictures, run, unsettle

from keras_pose import export
from keras_pose.errors import PoseError
from keras_pose.export import graph
from keras_pose.models import CPMMobile, RePoseLite
from keras_pose.models.counting import count
from keras_pose.models.receptive import receptive_fields

TINY = {
    "skeleton": ARM.to_dict(),
    "input_size": [32, 48],
    "stem": 8,
    "channels": [8, 8, 8],
    "blocks": [0, 1, 1],
    "kernels": [3],
}


class TestCPMMobile(ModelChecks):
    builder = "CPMMobile"
    arguments = TINY
    outputs = {  # noqa: RUF012
        "stage1": (4, 6, 4), "stage2": (4, 6, 4), "stage3": (4, 6, 4), "heatmaps": (4, 6, 3)
    }  # fmt: skip


def test_it_is_made_for_phones():
    """About as much work as RePose-Lite M, of which four fifths come before the last stage."""
    size = (128, 128)
    mobile, lite = count(CPMMobile(input_size=size)), count(RePoseLite("m", input_size=size))
    assert mobile.multiply_adds == pytest.approx(lite.multiply_adds, rel=0.15)
    assert mobile.parameters < lite.parameters
    earlier = count(CPMMobile(input_size=size, stages=2))
    assert 0.75 < earlier.multiply_adds / mobile.multiply_adds < 0.9


def test_stages_see_further_one_after_the_other():
    network = CPMMobile()
    fields = receptive_fields(network)
    seen = [fields[f"stage{n}"] for n in (1, 2, 3)]
    # 5 x 5 at stride 8: two in the first stage; one more, of the beliefs, in the later ones
    assert np.diff(seen).tolist() == [3 * 4 * 8] * 2
    assert fields["features_relu"] == seen[0] - 2 * 4 * 8
    assert seen[0] > network.input_size[0]


def test_normalisation_folds_and_activations_are_integers():
    """One convolution for each of the graph's and nothing between them in float, but for the
    decode and the last maps."""
    network = CPMMobile(**TINY)
    unsettle(network)
    images = pictures(network, 8)
    model = graph.read(export.to_tflite(network, "int8", output="heads", calibration=images))
    found = graph.operations(model)
    kinds = [op.kind for op in found]
    convolutions = [x for x in network.inference().layers if hasattr(x, "kernel")]
    convolved = [op for op in found if op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D")]
    assert len(convolved) == len(convolutions)
    floats = [op for op in convolved if op.outputs == ("float32",)]
    assert [op.inputs[0] for op in floats] == ["float32"]  # the last maps alone
    assert not {"MUL", "RSQRT", "SUB"} & {op.kind for op in found if op.outputs == ("int8",)}
    assert kinds.count("ADD") >= 3


def test_behind_a_backbone():
    network = CPMMobile(
        ARM, input_size=(32, 64), channels=(8, 8, 8), kernels=(3,), stages=2,
        backbone="mobilenet_v2", alpha=0.35,
    )  # fmt: skip
    found = run(network, pictures(network))
    assert found["heatmaps"].shape == (2, 4, 8, 3)
    names = [layer.name for layer in network.layers]
    assert "block_1_expand" in names and not any(n.startswith("stem") for n in names)


@pytest.mark.parametrize(
    "changes, hint",
    [
        ({"input_size": (40, 64)}, "multiples of 16"),
        ({"input_size": (16, 64)}, "multiples of 8, 24"),
        ({"channels": (8, 8)}, "three numbers in channels"),
        ({"channels": (8, 0, 8)}, r"channels\[1\] as a whole number from 1"),
        ({"blocks": (1, 1, -1)}, r"blocks\[2\] as a whole number from 0"),
        ({"stages": 2.0}, "stages"),
        ({"alpha": 0.5}, "backbone beside alpha"),
        ({"backbone": "mobilenet_v2", "input_size": (48, 48)}, "multiples of 32"),
        ({"backbone": "unknown"}, "a backbone among"),
        ({"weights": "imagenet"}, "backbone"),
    ],
)
def test_what_cannot_be_built_is_refused(changes, hint):
    with pytest.raises(PoseError, match=hint):
        CPMMobile(**{**TINY, **changes})
