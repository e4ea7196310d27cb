"""Export of networks that read a pose: both inputs in every format, calibration with both."""

import json

import keras
import numpy as np
import pytest
import tiny_refiner
from ai_edge_litert.interpreter import Interpreter
from dots import DotsReader, write
from export_helpers import SketchPose
from runtime_helpers import SIGMA, paint
from runtime_helpers import SIZE as SIDE

from keras_pose import export, metadata
from keras_pose.errors import PoseError
from keras_pose.export import calibrate, graph, pixels
from keras_pose.export.check import agreement
from keras_pose.export.job import export as job
from keras_pose.skeletons import LSP14

SIZE = (32, 24)


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    return tiny_refiner.TinyRefiner(LSP14, SIZE)


@pytest.fixture(scope="module")
def samples():
    return list(calibrate.patches(DotsReader(16), SIZE, poses=True))


def test_calibration_draws_poses_beside_the_same_crops(samples):
    plain = list(calibrate.patches(DotsReader(16), SIZE))
    assert len(samples) == len(plain) == 16
    for (patch, pose), same in zip(samples, plain, strict=True):
        assert np.array_equal(patch, same) and pose.dtype == np.float32
        assert pose.shape == (14, 3) and pose[:, 2].sum() > 7
    again = [pose for _, pose in calibrate.patches(DotsReader(16), SIZE, poses=True)]
    assert all(np.array_equal(a, b) for (_, a), b in zip(samples, again, strict=True))


@pytest.mark.parametrize("io", ["float", "uint8"])
@pytest.mark.parametrize("precision", ["fp32", "dynamic", "int8", "int16x8"])
def test_both_inputs_are_in_the_file_and_both_are_read(network, samples, precision, io):
    model = export.to_tflite(network, precision, io, "heads", samples)
    runner = Interpreter(model_content=model).get_signature_runner()
    found = {n: (tuple(d["shape"]), d["dtype"]) for n, d in runner.get_input_details().items()}
    kind = np.uint8 if io == "uint8" else np.float32
    assert found == {"image": ((1, *SIZE, 3), kind), "pose": ((1, 14, 3), np.float32)}
    image = np.stack([patch for patch, _ in samples[:4]]).astype(np.float32)
    poses = np.stack([pose for _, pose in samples[:4]])
    for given in (poses, poses[::-1]):
        expected = np.asarray(network({"image": image, "pose": given})["heatmaps"])
        heads = [
            runner(image=one[None].astype(kind), pose=pose[None])["heatmaps"]
            for one, pose in zip(image, given, strict=True)
        ]
        allowed = {"fp32": 1e-4, "int16x8": 0.05}.get(precision, 0.15)
        apart = np.sqrt(np.mean((np.concatenate(heads) - expected) ** 2))
        assert apart < allowed * expected.std()


def test_metadata_says_what_the_file_reads(network, tmp_path):
    path = tmp_path / "refiner.tflite"
    path.write_bytes(export.to_tflite(network))
    assert metadata.read(path).reads == ("image", "pose")
    path.write_bytes(export.to_tflite(SketchPose()))
    assert metadata.read(path).reads == ("image",)


def test_calibration_without_poses_is_refused(network, samples):
    patches = [patch for patch, _ in samples]
    with pytest.raises(PoseError, match="poses=True"):
        export.to_tflite(network, "int8", calibration=patches)
    wrong = [(patch, pose[:5]) for patch, pose in samples]
    with pytest.raises(PoseError, match=r"\(14, 3\)"):
        export.to_tflite(network, "int8", calibration=wrong)
    with pytest.raises(PoseError, match="number 0"):
        export.to_tflite(SketchPose(input_size=SIZE), "int8", calibration=samples)


def test_a_file_agrees_with_keras_on_drawn_poses(network, samples, tmp_path):
    path = tmp_path / "refiner.tflite"
    path.write_bytes(export.to_tflite(network))
    found = agreement(network, path, samples)
    assert found["pictures"] == 16 and found["p95"] < 0.05


def test_the_whole_export_calibrates_and_checks_with_drawn_poses(network, tmp_path):
    data = write(DotsReader(8), tmp_path / "data")
    out = tmp_path / "refiner.tflite"
    done = job(network, out, "int8", calibrate=data, check=data, max_drop=100)
    values = json.loads(out.with_suffix(".json").read_text())
    assert done.passed and values["agreement_px"]["pictures"] == 8
    scores = metadata.read(out).metrics
    assert {"pck@0.2", "input pck@0.2"} <= scores.keys()
    assert scores["input pck@0.2"] > 50  # most drawn points are good or near


def _parsed(network, samples, io="uint8"):
    return graph.read(export.to_tflite(network, "int8", io, "heads", samples))


def test_pixels_are_found_though_a_pose_comes_first(network, samples):
    """The file's first input and first operations are the pose's."""
    model = _parsed(network, samples)
    assert model.subgraphs[0].inputs[0] != graph.image(model)
    found = pixels.normalisation(model)
    assert np.isclose(found.scale, 1 / 127.5)
    assert np.isclose(found.offset, -found.zero / 127.5)  # it was moved to a whole pixel value
    assert [op.kind for op in found.operations] == ["CAST", "MUL", "ADD"]
    assert {op.outputs for op in found.operations} == {("float32",)}  # no step is lost


def test_bytes_are_codes_where_the_picture_has_a_layer_of_its_own():
    refiner, rng = tiny_refiner.DotsRefiner(), np.random.default_rng(0)
    shown = [paint(SIDE, rng.uniform(10, 54, (3, 2)), SIGMA) for _ in range(12)]
    poses = rng.uniform(0.2, 0.8, (12, 3, 3)).astype(np.float32)
    poses[..., 2] = 1
    given = list(zip(shown, poses, strict=True))
    model = _parsed(refiner, given)
    readers = [op for op in graph.operations(model) if graph.image(model) in op.operator.inputs]
    assert [(op.kind, op.inputs[0]) for op in readers] == [("QUANTIZE", "uint8")]
    assert not any(op.kind == "CAST" for op in graph.operations(model))
    both = [
        Interpreter(model_content=graph.write(m)).get_signature_runner()
        for m in (model, _parsed(refiner, given, "float"))
    ]
    for image, pose in given[:4]:
        found = [
            run(image=image[None].astype(kind), pose=pose[None])["heatmaps"]
            for run, kind in zip(both, (np.uint8, np.float32), strict=True)
        ]
        np.testing.assert_array_equal(*found)
