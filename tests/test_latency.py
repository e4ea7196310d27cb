"""What is timed for phones: files of networks of a picture, and of those that see a pose too."""

import sys

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))

import latency

from keras_pose import export, metadata

SMALL = {"input_size": (32, 32), "backbone": "mobilenet_v2", "alpha": 0.35, "level": 8,
         "deconvolutions": 1, "filters": 8, "skeleton": "lsp14"}  # fmt: skip


@pytest.mark.parametrize(
    ("builder", "reads"), [("PoseFix", ["image", "pose"]), ("SimpleBaseline", ["image"])]
)
def test_a_network_is_calibrated_with_all_that_it_reads(builder, reads, monkeypatch, tmp_path):
    monkeypatch.setattr(latency, "RANDOM", {"small": (builder, SMALL)})
    monkeypatch.setattr(latency, "_PICTURES", 4)
    shown, convert = [], export.to_tflite

    def watched(network, precision, calibration):
        shown.append(calibration)
        return convert(network, precision, calibration=calibration)

    monkeypatch.setattr(export, "to_tflite", watched)
    files = list(latency.written(tmp_path, "small"))
    assert [path.name for path in files] == ["small_int8.tflite", "small_fp32.tflite"]
    for path, given in zip(files, shown, strict=True):
        assert list(metadata.read(path).reads) == reads
        assert len(given) == 4 and all(isinstance(one, tuple) == ("pose" in reads) for one in given)
