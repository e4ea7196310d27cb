"""The JSON inside a `.tflite`."""

import dataclasses
import io
import json
import zipfile

import pytest

from keras_pose import codecs, metadata, skeletons
from keras_pose.errors import PoseError

FLATBUFFER = b"\x1c\x00\x00\x00TFL3" + bytes(range(200))  # begins like one; read() looks no further
ARM = skeletons.Skeleton("arm", ("shoulder", "left_wrist", "right_wrist"), ((0, 1), (0, 2)))


def about(**fields):
    codec = codecs.SoftmaxHeatmap((64, 48), (16, 12), 4.0)
    known = {"precision": "int8", "input_type": "uint8", "metrics": {"pck@0.2": 61.5}}
    return metadata.Metadata(skeleton=ARM, codec=codec, **{**known, **fields})


def write(path, *described, model=FLATBUFFER):
    for each in described:
        model = metadata.attach(model, each)
    path.write_bytes(model)
    return path


def test_round_trip(tmp_path):
    given = about(training={"commit": "abc", "steps": 10}, threshold=0.2, output="heads")
    found = metadata.read(write(tmp_path / "m.tflite", given))
    assert found == given
    assert found.input_size == (64, 48)


@pytest.mark.parametrize("skeleton", skeletons.SKELETONS.values(), ids=lambda s: s.name)
@pytest.mark.parametrize("kind", codecs.CODECS)
def test_every_skeleton_and_codec(tmp_path, skeleton, kind):
    own = {
        "coordinates": {"score": "rle", "area": 0.1},
        "points": {},
        "integral": {"map_size": (8, 16), "corner": True},
    }
    maps = {"map_size": (8, 16), "sigma": 2.5}
    codec = codecs.from_dict({"kind": kind, "input_size": (32, 64), **own.get(kind, maps)})
    given = metadata.Metadata(skeleton, codec)
    assert metadata.read(write(tmp_path / "m.tflite", given)) == given


def test_any_zip_reader_gets_the_json(tmp_path):
    path = write(tmp_path / "m.tflite", about())
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == [metadata.ENTRY]
        values = json.loads(archive.read(metadata.ENTRY))
    assert values["skeleton"]["keypoints"] == list(ARM.keypoints)
    assert values["codec"]["kind"] == "softmax"


def test_attaching_again_replaces():
    once = metadata.attach(FLATBUFFER, about())
    twice = metadata.attach(metadata.attach(FLATBUFFER, about(threshold=0.9)), about())
    assert once == twice
    assert once.startswith(FLATBUFFER)
    assert metadata.strip(once) == FLATBUFFER == metadata.strip(FLATBUFFER)


def test_every_field_is_written():
    names = {f.name for f in dataclasses.fields(metadata.Metadata)}
    assert set(about(reads=("image", "pose")).to_dict()) == names | {"keras_pose"}
    json.dumps(about().to_dict())


def test_files_of_a_picture_alone_are_read_by_older_runtimes(tmp_path):
    assert "reads" not in about().to_dict()
    for reads in (("image",), ("image", "pose")):
        path = write(tmp_path / "m.tflite", about(reads=reads))
        assert metadata.read(path).reads == reads


def _with(entry, content):
    buffer = io.BytesIO(FLATBUFFER)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(entry, content)
    return buffer.getvalue()


def _changed(**fields):
    return json.dumps({**about().to_dict(), **fields})


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (None, "readable .tflite"),
        (b"", "does not begin like one"),
        (b"PK not a flatbuffer", "does not begin like one"),
        (FLATBUFFER, "without it"),
        (_with("labels.txt", "nose"), "without it"),
        (_with(metadata.ENTRY, '{"keras_pose": 99}'), "version 99"),
        (_with(metadata.ENTRY, '{"keras_pose": 1}'), "skeleton"),
        (_with(metadata.ENTRY, '{"keras_pose": '), "without it"),
        (_with(metadata.ENTRY, "3"), "without it"),
        (_with(metadata.ENTRY, _changed(codec={"kind": "wavelet"})), "'wavelet'"),
        (_with(metadata.ENTRY, _changed(skeleton={"name": "a", "keypoints": []})), "key point"),
    ],
)
def test_read_refuses(tmp_path, content, named):
    path = tmp_path / "m.tflite"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PoseError, match=named) as caught:
        metadata.read(path)
    assert "m.tflite" in caught.value.received
