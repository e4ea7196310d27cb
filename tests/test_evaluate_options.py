"""How a network is opened to be scored: another decoder needs no other training."""

import numpy as np
import pytest
import tiny
from conftest import ROOT

from keras_pose.errors import PoseError
from keras_pose.training import evaluate

PATCHES = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    path = tmp_path_factory.mktemp("networks") / "tiny.keras"
    tiny.TinyPose().save(path)
    return path


def test_a_decoder_reads_the_same_maps_in_another_way(stored):
    own, fit, highest = (
        evaluate.open_model(stored, decoder=name)[0](PATCHES)[0] for name in ("", "fit", "argmax")
    )
    assert np.array_equal(own, fit)
    assert np.allclose(highest, np.rint(highest), atol=1e-5)  # a cell is a pixel here
    assert not np.allclose(own, np.rint(own), atol=1e-3)
    assert np.abs(own - highest).max() <= 1.5


def test_decoders_are_of_maps_in_a_keras_file(stored):
    with pytest.raises(PoseError, match="nearest"):
        evaluate.open_model(stored, decoder="nearest")
    with pytest.raises(PoseError, match="coordinates"):
        evaluate.of_network(tiny.TinyPoints(), decoder="dark")
    int8 = ROOT / "zoo" / "repose_lite_s_figures" / "model_int8.tflite"
    with pytest.raises(PoseError, match="decoder 'dark'"):
        evaluate.open_model(int8, decoder="dark")
