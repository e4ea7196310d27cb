"""What a written `.tflite` is and does, for every format."""

import dataclasses

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from export_helpers import DISCS, SIZE, SketchPose, discs, held_out, made, network, pixels_of, run

from keras_pose import export, geometry, metadata
from keras_pose.errors import PoseError
from keras_pose.export import convert, formats, graph, quantize, report
from keras_pose.export.quiet import quiet
from keras_pose.models import RePose
from keras_pose.training.evaluate import of_network

CHOICES = [
    ("fp32", "float", "decoded"),
    ("fp32", "uint8", "decoded"),
    ("fp32", "float", "heads"),
    ("fp16", "float", "decoded"),
    ("dynamic", "float", "decoded"),
    ("int8", "float", "decoded"),
    ("int8", "uint8", "decoded"),
    ("int8", "uint8", "heads"),
    ("int16x8", "uint8", "decoded"),
]


def operations(model):
    return graph.operations(graph.read(metadata.strip(model)))


@pytest.mark.parametrize("choice", CHOICES, ids="-".join)
def test_pixels_in_and_key_points_out(choice):
    precision, io, output = choice
    model = made(*choice)
    interpreter = Interpreter(model_content=model)
    assert list(interpreter.get_signature_list()) == ["serving_default"]
    runner = interpreter.get_signature_runner("serving_default")
    (image,) = runner.get_input_details().items()
    assert image[0] == "image"
    assert tuple(image[1]["shape"]) == (1, *SIZE, 3)
    assert image[1]["dtype"] == (np.uint8 if io == "uint8" else np.float32)
    expected = {"keypoints": (1, 3, 2), "scores": (1, 3)}
    if output == "heads":
        expected = {"heatmaps": (1, 16, 16, 3)}
    outputs = runner.get_output_details()
    assert {n: tuple(d["shape"]) for n, d in outputs.items()} == expected
    assert all(d["dtype"] == np.float32 for d in outputs.values())

    about = metadata.Metadata.from_dict(_read(model).to_dict())
    assert (about.precision, about.output) == (precision, output)
    assert about.input_type == ("uint8" if io == "uint8" else "float32")
    assert (about.skeleton, about.codec) == (network().skeleton, network().codec)
    assert (about.model, about.crop_margin, about.threshold) == ("SketchPose", 1.3, 0.41)
    assert about.training == {"recipe": "sketch"}
    assert about.metrics == {"pck@0.2": 50.0}


@pytest.mark.parametrize("choice", [("fp16", "float", "decoded"), ("int8", "uint8", "decoded")])
def test_weights_lie_as_the_schema_asks_and_equal_zero_points_stand_once(choice):
    content = metadata.strip(made(*choice))
    start = np.frombuffer(content, np.uint8).ctypes.data
    model = schema.Model.GetRootAs(content, 0)
    data = [model.Buffers(i).DataAsNumpy() for i in range(model.BuffersLength())]
    places = [x.ctypes.data - start for x in data if isinstance(x, np.ndarray) and x.size]
    assert len(places) > 10
    assert not any(place % 16 for place in places)
    graph = model.Subgraphs(0)
    steps = [graph.Tensors(i).Quantization() for i in range(graph.TensorsLength())]
    zeros = [q.ZeroPointAsNumpy() for q in steps if q and q.ZeroPointLength()]
    assert len({x.ctypes.data for x in zeros}) == len({x.tobytes() for x in zeros})
    assert bool(zeros) == (choice[0] == "int8")


def _read(model):
    import tempfile

    with tempfile.NamedTemporaryFile(suffix=".tflite") as file:
        file.write(model)
        file.flush()
        return metadata.read(file.name)


@pytest.mark.parametrize("choice", CHOICES, ids="-".join)
def test_one_static_graph_of_built_in_operations(choice):
    parsed = graph.read(metadata.strip(made(*choice)))
    assert len(parsed.subgraphs) == 1
    kinds = {op.kind for op in graph.operations(parsed)}
    dynamic = {"CUSTOM", "READ_VARIABLE", "VAR_HANDLE", "SHAPE", "WHILE", "IF"}
    assert not kinds & dynamic
    tensors = parsed.subgraphs[0].tensors
    assert all(size > 0 for t in tensors for size in (t.shape if t.shape is not None else ()))
    assert all(not t.shapeSignature for t in tensors)
    assert not [t.name for t in tensors if b"early" in t.name], "an intermediate head was traced"


@pytest.mark.parametrize("io", formats.INPUTS)
def test_float32_equals_keras(io):
    pictures, _ = held_out()
    expected, scores = of_network(network())(pictures)
    found = run(made("fp32", io), pictures)
    apart = np.abs(geometry.denormalise(found["keypoints"], SIZE) - expected)
    assert apart.max() < 0.05
    np.testing.assert_allclose(found["scores"], scores, atol=1e-3)


@pytest.mark.parametrize(
    ("precision", "median"),
    [("fp16", 0.02), ("dynamic", 0.15), ("int8", 0.3), ("int16x8", 0.15)],
)
def test_key_points_survive(precision, median):
    pictures, truth = held_out()
    reference, found = pixels_of(made(), pictures), pixels_of(made(precision), pictures)
    assert np.median(np.linalg.norm(found - reference, axis=-1)) < median
    right = [(np.linalg.norm(p - truth, axis=-1) < 4).mean() for p in (reference, found)]
    assert right[0] > 0.9, "the network has not learned: nothing is tested"
    assert right[1] > right[0] - 0.02


def test_weights_take_the_room_that_the_table_says():
    room = {}
    for name, row in formats.FORMATS.items():
        parsed = graph.read(metadata.strip(made(name)))
        kernels = [op.operator.inputs[1] for op in graph.operations(parsed) if op.kind == "CONV_2D"]
        if row.weights == "float16":  # widened by an operation in between
            back = {op.operator.outputs[0]: op for op in graph.operations(parsed)}
            kernels = [back[k].operator.inputs[0] for k in kernels]
        tensors = [parsed.subgraphs[0].tensors[k] for k in kernels]
        room[name] = sum(len(parsed.buffers[t.buffer].data) for t in tensors)
    assert room["fp16"] * 2 == room["fp32"]
    assert room["dynamic"] == room["int8"] == room["int16x8"] == room["fp32"] / 4


@pytest.mark.parametrize("choice", CHOICES[5:8], ids="-".join)
def test_int8_is_int8_from_the_pixels_to_the_maps(choice):
    _, io, output = choice
    found = operations(made(*choice))
    inside = [op for op in found if not op.decode and op.kind not in ("QUANTIZE", "DEQUANTIZE")]
    if io == "float":  # the normalisation of the pixels is exact, so it stays float
        assert [op.kind for op in inside[:2]] == ["MUL", "ADD"]
        inside = inside[2:]
    kinds = {op.kind for op in inside}
    assert kinds >= {"CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "CONCATENATION", "RESIZE_BILINEAR"}
    for op in inside:
        assert (op.inputs[0], op.outputs[0]) == ("int8", "int8"), op.name
        if op.kind.endswith("CONV_2D"):
            assert op.inputs == ("int8", "int8", "int32")
    assert [op.kind for op in found].count("DEQUANTIZE") == 1
    if io == "uint8":
        assert found[0].kind == "QUANTIZE"
        assert (found[0].inputs, found[0].outputs) == (("uint8",), ("int8",))
    decode = [op for op in found if op.decode]
    assert bool(decode) == (output == "decoded")
    assert not {t for op in decode for t in op.inputs + op.outputs} - {"float32", "int32", "bool"}


def test_the_decode_of_an_int8_file_is_exact():
    pictures, _ = held_out()
    maps = run(made("int8", "uint8", "heads"), pictures)["heatmaps"]
    keypoints, scores = network().codec.decode(maps)
    found = run(made("int8", "uint8"), pictures)
    np.testing.assert_allclose(found["keypoints"], keypoints, atol=1e-5)
    np.testing.assert_allclose(found["scores"], scores, atol=1e-5)


def test_both_inputs_of_int8_see_the_same_256_values():
    gradient = np.arange(256, dtype=np.uint8).repeat(48).reshape(*SIZE, 3)
    pictures = np.concatenate([held_out()[0][:20], gradient[None], gradient[None, ::-1]])
    np.testing.assert_array_equal(
        pixels_of(made("int8", "uint8"), pictures), pixels_of(made("int8", "float"), pictures)
    )


def test_lite_rt_delegates_the_whole_int8_network_at_once():
    interpreter = Interpreter(model_content=made("int8", "uint8", "heads"))
    interpreter.allocate_tensors()
    delegates = [o for o in interpreter._get_ops_details() if o["op_name"] == "DELEGATE"]
    assert len(delegates) == 1


@pytest.mark.parametrize("pixels", ["unit", "per channel", "none"])
def test_any_normalisation_of_the_pixels(pixels):
    sketch = SketchPose(width=8, pixels=pixels)
    pictures = discs(30, seed=2)[0]
    expected = sketch.inference().predict_on_batch(pictures.astype(np.float32))
    model = export.to_tflite(sketch, "int8", "uint8", "heads", calibration=pictures)
    found = run(model, pictures)["heatmaps"]
    assert np.abs(found - expected).mean() < 0.05 * np.ptp(expected)
    contents = report.contents(model, "int8")
    assert contents.coverage == 100
    assert "CAST float32" not in contents.operations


def test_the_same_network_gives_the_same_bytes():
    pictures = discs(60, seed=3)[0]
    again = export.to_tflite(network(), "int8", "uint8", "decoded", iter(pictures))
    assert again == made("int8", "uint8")


def test_a_network_of_mixed_precision_is_exported_in_float32():
    twin = network().rebuilt("mixed_float16")
    assert {layer.compute_dtype for layer in twin.layers} == {"float16", "float32"}
    pictures, _ = held_out()
    found = pixels_of(export.to_tflite(twin), pictures)
    np.testing.assert_allclose(found, pixels_of(made(), pictures), atol=1e-3)


def test_an_operation_that_does_not_quantize_is_reported():
    sketch = SketchPose(width=8, odd="abs")
    model = export.to_tflite(sketch, "int8", output="heads", calibration=discs(5, 0)[0])
    contents = report.contents(model, "int8")
    assert [island.split()[0] for island in contents.islands] == ["ABS"]
    assert 90 < contents.coverage < 100
    assert "ABS" in contents.text()
    assert contents.foreign == contents.off_gpu == []


def test_report_of_a_decoded_file():
    contents = report.contents(made("int8", "uint8"), "int8")
    assert contents.size == len(made("int8", "uint8"))
    assert contents.coverage == 100 and not contents.islands
    assert contents.decode > 20
    assert "TOPK_V2" in contents.off_gpu
    assert sum(contents.operations.values()) == len(operations(made("int8", "uint8")))
    assert report.contents(made(), "fp32").coverage is None


def test_what_a_phone_gpu_leaves_is_said_of_the_decode_and_of_the_network():
    contents = report.contents(made("int8", "uint8"), "int8")
    assert contents.network_off_gpu == []
    assert contents.verdicts()[-1].endswith("--output heads leaves decode out")
    within = dataclasses.replace(contents, network_off_gpu=["GATHER"])
    assert within.verdicts()[-1].endswith("with --output heads, all but GATHER")
    heads = dataclasses.replace(within, off_gpu=["GATHER"], decode=0)
    assert heads.verdicts()[-1] == "phone GPUs: all but GATHER"


def test_nothing_is_said(capfd):
    export.to_tflite(SketchPose(width=8), "int8", calibration=discs(2, 0)[0])
    assert capfd.readouterr() == ("", "")


def test_quiet_lets_errors_through(capfd):
    with pytest.raises(OSError, match="loud") as caught, quiet():
        print("from Python", flush=True)
        raise OSError("loud")
    assert "from Python" in caught.value.__notes__[0]
    print("after")
    assert capfd.readouterr().out == "after\n"


def _refusals():
    ready = discs(2, 0)[0]
    yield {"precision": "int4"}, "fp32, fp16, dynamic, int8, int16x8"
    yield {"io": "int8"}, "float, uint8"
    yield {"output": "maps"}, "decoded, heads"
    yield {"precision": "int8"}, "--calibrate"
    yield {"precision": "int16x8", "calibration": iter(())}, "--calibrate"
    yield {"precision": "int8", "calibration": ready[:, :32]}, r"\(64, 64, 3\)"
    yield {"precision": "int8", "calibration": ready.astype(np.float32)}, "uint8"


@pytest.mark.parametrize(("wrong", "named"), list(_refusals()))
def test_refuses(wrong, named):
    with pytest.raises(PoseError, match=named):
        export.to_tflite(SketchPose(width=4), **wrong)


def test_refuses_what_tflite_cannot_do():
    with pytest.raises(PoseError, match="BitwiseAnd"):
        export.to_tflite(SketchPose(width=4, odd="argmax"))


def _with_a_dead_layer():
    sketch = RePose(
        DISCS, (32, 32), coarsest=16, update_blocks=1, channels=4, keypoint_channels=4, depth=1
    )
    conv = sketch.get_layer("post0_1_conv")
    conv.bias.assign(conv.bias - 100.0)  # nothing passes its ReLU
    return sketch


def test_a_layer_that_is_always_0_takes_nothing_else_along():
    sketch, pictures = _with_a_dead_layer(), discs(8, 0, (32, 32))[0]
    expected = sketch.inference().predict_on_batch(pictures.astype(np.float32))
    found = run(export.to_tflite(sketch, "int8", "float", "heads", pictures), pictures)["heatmaps"]
    assert np.abs(found - expected).mean() < 0.1 * np.ptp(expected)


def test_refuses_what_lite_rt_cannot_load(monkeypatch):
    monkeypatch.setattr(quantize, "_DEAD", 0.0)
    with pytest.raises(PoseError, match="LiteRT can load"):
        export.to_tflite(_with_a_dead_layer(), "int8", calibration=discs(8, 0, (32, 32))[0])


def test_refuses_another_backend(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(PoseError, match="KERAS_BACKEND=tensorflow"):
        convert.to_float(network())


def test_the_table_names_every_format():
    lines = formats.table().splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(formats.FORMATS)
    assert all(f.suffix == f"_{f.name}.tflite" for f in formats.FORMATS.values())
