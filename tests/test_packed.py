"""A packed data set shows what its source shows, in one file, and trains without TensorFlow."""

import dataclasses
import io
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import zipfile

import cv2
import dots
import numpy as np
import pytest
from conftest import ROOT, shared

from keras_pose import geometry
from keras_pose.data import Augment, Loader, open_reader, packing
from keras_pose.data.packed import INDEX, PackReader
from keras_pose.data.sample import Sample
from keras_pose.errors import PoseError
from keras_pose.runtime.crop import cut
from keras_pose.skeletons import LSP14


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An LSP folder of 6 training and 4 validation persons in the corner of larger pictures."""
    folder = tmp_path_factory.mktemp("data") / "dots"
    for split, count, seed in (("train", 6, 1), ("val", 4, 2)):
        reader = dots.DotsReader(count, (420, 500), seed=seed, region=(300, 340))
        dots.write(reader, folder / split, ".jpg")
    return folder


@pytest.fixture(scope="module")
def packed(folder):
    return packing_of(folder, folder.parent / "dots.pack", size=4096, quality=95)


def packing_of(where, out, **settings):
    packing.pack(where, out, **settings)
    return out


def changed(packed, out, **entries):
    """A copy with other contents: name of an entry -> bytes, or None to leave it out."""
    with zipfile.ZipFile(packed) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            content = entries.get(name, old.read(name))
            if content is not None:
                new.writestr(name, content)
    return out


def index(packed, **changes):
    with zipfile.ZipFile(packed) as archive:
        return json.dumps({**json.loads(archive.read(INDEX)), **changes}).encode()


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_crop_of_a_pack_is_the_crop_of_the_picture(folder, packed, split):
    ours, theirs = open_reader(packed, split), open_reader(folder, split)
    assert [s.name for s in ours.samples] == [s.name for s in theirs.samples]
    assert ours.skeleton == LSP14 and len(ours) == len(theirs)
    for a, b in zip(ours.samples, theirs.samples, strict=True):
        small, large = ours.image(a), theirs.image(b)
        assert small.size < 0.8 * large.size
        assert np.array_equal(a.visible, b.visible) and not a.keypoints[~a.visible].any()
        one, two = (
            cut(image, geometry.crop_box(s.box, (96, 96)), (96, 96))
            for image, s in ((small, a), (large, b))
        )
        assert np.abs(one[0].astype(int) - two[0]).mean() < 2
        points = [geometry.apply(m, s.keypoints)[s.visible] for (_, m), s in ((one, a), (two, b))]
        assert np.abs(points[0] - points[1]).max() < 0.01


@pytest.mark.parametrize("size", [64, 100, 177])
def test_a_smaller_pack_keeps_every_point_to_a_fraction_of_a_pixel(folder, tmp_path, size):
    ours = open_reader(packing_of(folder, tmp_path / "small.pack", size=size), "val")
    theirs = open_reader(folder, "val")
    for a, b in zip(ours.samples, theirs.samples, strict=True):
        assert max(ours.image(a).shape) == size
        one, two = (
            geometry.normalise(
                geometry.apply(
                    geometry.box_to_size(geometry.crop_box(s.box, (64, 48)), (64, 48)), s.keypoints
                )[s.visible],
                (64, 48),
            )
            for s in (a, b)
        )
        assert np.abs(one - two).max() * 64 < 0.05
        spots = [ours.image(a)[tuple(np.rint(p[::-1]).astype(int))] for p in a.keypoints[a.visible]]
        wanted = [dots.color(k) for k in np.flatnonzero(a.visible)]
        assert np.array_equal(np.argmax(spots, axis=1), np.argmax(wanted, axis=1))


def test_coordinates_are_exact_to_the_last_bit_of_float32():
    """A similarity, the corner at a whole pixel, and the boxes of others moved alike."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        height, width = rng.integers(40, 300, 2)
        box = np.array([*rng.uniform(0, 30, 2), *rng.uniform(1, 200, 2)])
        points = (box[:2] + rng.random((14, 2)) * box[2:]).astype(np.float32)
        points = np.minimum(points, (width - 1, height - 1)).astype(np.float32)
        sample = Sample(points, np.ones(14, bool), box, "a#0", 0, box[None] + 7.0)
        patch, moved = packing.patch_of(np.zeros((height, width, 3), np.uint8), sample, 80, 1.8)
        scale = moved.box[2] / box[2]
        assert scale <= 1 and max(patch.shape) <= 80
        assert np.allclose(moved.box[2:], scale * box[2:])
        corner = (moved.box[:2] + 0.5) / scale - (box[:2] + 0.5)  # of the patch in the picture
        assert np.allclose(corner, np.rint(corner), atol=1e-9)
        assert np.allclose(
            (moved.keypoints + 0.5) / scale - 0.5 - corner, points, atol=1e-3 / scale
        )
        assert np.allclose(moved.people[0], [*moved.box[:2] + 7 * scale, *scale * (box[2:] + 7)])
        assert (moved.keypoints > -0.51).all()
        assert (moved.keypoints < np.array(patch.shape[1::-1]) + 0.5).all()


def test_head_lengths_and_areas_travel_in_a_pack(folder, tmp_path, monkeypatch):
    """They shrink as the person does; files that were written without them have none."""
    reader = open_reader(folder, "val")
    heads = [10.0, float("nan"), 30.0, 40.0]
    reader.samples = [
        dataclasses.replace(s, head=h, area=7 * h)
        for s, h in zip(reader.samples, heads, strict=True)
    ]
    monkeypatch.setattr(packing, "open_reader", lambda where, split: reader)
    file = packing_of(folder, tmp_path / "heads.pack", size=100)
    for ours, theirs in zip(open_reader(file).samples, reader.samples, strict=True):
        scale = ours.box[2] / theirs.box[2]
        assert scale < 0.9 and np.isclose(ours.head, theirs.head * scale, equal_nan=True)
        assert np.isclose(ours.area, theirs.area * scale**2, equal_nan=True)
    with zipfile.ZipFile(file) as archive:
        arrays = dict(np.load(io.BytesIO(archive.read("all.npz"))))
    del arrays["heads"], arrays["areas"]
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    older = changed(file, tmp_path / "older.pack", **{"all.npz": buffer.getvalue()})
    assert np.isnan([(s.head, s.area) for s in open_reader(older).samples]).all()


def test_nothing_is_enlarged_and_pixels_are_copied():
    image = np.random.default_rng(0).integers(0, 256, (60, 70, 3)).astype(np.uint8)
    points = np.array([[20, 20], [40, 30.5]], np.float32)
    sample = Sample(points, np.ones(2, bool), geometry.extent(points), "a#0", 0)
    patch, moved = packing.patch_of(image, sample, 500, 1.8)
    left, top = np.rint(points[0] - moved.keypoints[0]).astype(int)
    assert np.array_equal(patch, image[top : top + patch.shape[0], left : left + patch.shape[1]])
    assert 36 <= patch.shape[1] <= 38  # 20 wide, times 1.8


def test_a_box_that_misses_its_key_points_still_has_them_in_the_patch():
    points = np.array([[5, 5], [90, 70]], np.float32)
    sample = Sample(points, np.ones(2, bool), np.array([40.0, 40, 10, 10]), "a#0", 0)
    patch, moved = packing.patch_of(np.zeros((80, 100, 3), np.uint8), sample, 500, 1.8)
    assert (moved.keypoints >= -0.5).all() and (moved.keypoints < patch.shape[1::-1]).all()
    nowhere = dataclasses.replace(sample, visible=np.zeros(2, bool), box=sample.box + 500.0)
    assert packing.patch_of(np.zeros((80, 100, 3), np.uint8), nowhere, 500, 1.8) is None


def test_everybody_else_in_the_picture_is_kept(tmp_path):
    """COCO: an own skeleton, boxes of others, a different number of them in each picture."""
    (tmp_path / "images").mkdir()
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(tmp_path / "images" / name), np.full((50, 60, 3), 90, np.uint8))
    rows = [(1, 1, [5, 5, 40, 30]), (2, 1, [30, 10, 20, 20]), (3, 2, [1, 2, 30, 40])]
    annotations = [
        {"id": i, "image_id": image, "category_id": 7, "bbox": box,
         "keypoints": [10, 10, 2, 20, 30, 0, 30, 20, 1]}
        for i, image, box in rows
    ]  # fmt: skip
    content = {
        "images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}],
        "annotations": annotations,
        "categories": [{"id": 7, "name": "star", "keypoints": ["hub", "left_tip", "right_tip"]}],
    }
    (tmp_path / "all.json").write_text(json.dumps(content))
    done = packing.pack(tmp_path / "all.json", tmp_path / "star.pack", size=4096)
    assert done.persons == {"train": 3, "val": 3} and not done.divided
    reader, original = open_reader(tmp_path / "star.pack"), open_reader(tmp_path / "all.json")
    assert reader.skeleton == original.skeleton
    for ours, theirs in zip(reader.samples, original.samples, strict=True):
        assert ours.people.shape == theirs.people.shape
        moved = theirs.people[:, :2] - theirs.box[:2] + ours.box[:2]
        assert np.allclose(ours.people[:, :2], moved) and ours.visible.tolist() == [1, 0, 1]
    other = open_reader(tmp_path / "star.pack", "val")
    assert [s.source for s in other.samples] == [s.source for s in reader.samples]


def test_batches_come_from_a_pack_by_several_threads_alike(packed):
    reader = open_reader(packed)
    augment = Augment(background=0.3, zoom_out=0.3)
    alone = [Loader(reader, (32, 32), 2, augment).batch(epoch, 0) for epoch in range(8)]
    loader, found = Loader(open_reader(packed), (32, 32), 2, augment), {}

    def work(epoch):
        for _ in range(5):
            found[epoch] = loader.batch(epoch, 0)

    threads = [threading.Thread(target=work, args=(e,)) for e in range(8)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    for epoch, (x, y) in enumerate(alone):
        for one, two in ((x, found[epoch][0]), (y, found[epoch][1])):
            assert all(np.array_equal(one[k], two[k]) for k in one)


def test_one_thread_at_a_time_is_in_the_file(packed, monkeypatch):
    reader, inside, most = open_reader(packed), [], []
    read = reader._archive.read

    def slow(name):
        inside.append(name)
        most.append(len(inside))
        time.sleep(0.01)
        content = read(name)
        inside.remove(name)
        return content

    monkeypatch.setattr(reader._archive, "read", slow)
    threads = [threading.Thread(target=reader.image, args=(s,)) for s in reader.samples]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert most == [1] * len(reader)


def test_a_patch_is_read_smaller_in_the_decoder(packed):
    reader = open_reader(packed)
    whole, half = (reader.image(reader[0], factor) for factor in (1, 2))
    assert half.shape[:2] == tuple(-(-s // 2) for s in whole.shape[:2])
    with pytest.raises(PoseError, match="reduce"):
        reader.image(reader[0], 3)


def test_the_same_data_give_the_same_bytes(folder, tmp_path):
    one, two = (packing_of(folder, tmp_path / f"{n}.pack").read_bytes() for n in "ab")
    assert one == two and {p.name for p in tmp_path.iterdir()} == {"a.pack", "b.pack"}


def test_unreadable_pictures_are_counted_and_left_out(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "data")
    (tmp_path / "data/train/images/im00002.jpg").write_bytes(b"")
    done = packing.pack(tmp_path / "data", tmp_path / "x.pack")
    assert done.persons == {"train": 5, "val": 4} and "im00002" in done.skips["train"]
    assert "im00002.jpg#0" not in [s.name for s in open_reader(tmp_path / "x.pack").samples]
    for path in (tmp_path / "data/val/images").iterdir():
        path.write_bytes(b"")
    before = (tmp_path / "x.pack").read_bytes()
    with pytest.raises(PoseError, match="unreadable picture"):
        packing.pack(tmp_path / "data", tmp_path / "x.pack")
    assert (tmp_path / "x.pack").read_bytes() == before  # what was written stays
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    "settings, said",
    [({"size": 8}, "size"), ({"quality": 0}, "quality"), ({"margin": 1.0}, "margin")],
)
def test_settings_out_of_range_are_refused(folder, tmp_path, settings, said):
    with pytest.raises(PoseError, match=f"--{said}"):
        packing.pack(folder, tmp_path / "x.pack", **settings)
    assert not list(tmp_path.iterdir())


def test_places_that_cannot_hold_a_pack_are_refused(folder, tmp_path):
    with pytest.raises(PoseError, match=r"data\.pack"):
        packing.pack(folder, tmp_path / "data.zip")
    (tmp_path / "file").write_text("")
    with pytest.raises(PoseError, match="--out"):
        packing.pack(folder, tmp_path / "file/x.pack")


@pytest.mark.parametrize("content", [b"", b"no zip at all", None, "half"])
def test_a_file_that_is_no_whole_pack_is_refused(packed, tmp_path, content):
    path = tmp_path / "bad.pack"
    if content == "half":
        content = packed.read_bytes()[: packed.stat().st_size // 2]
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PoseError, match=r"bad\.pack") as error:
        open_reader(path)
    assert error.value.advice.startswith("Check the path")


def test_other_versions_and_foreign_files_are_refused(packed, tmp_path):
    old = changed(packed, tmp_path / "old.pack", **{INDEX: index(packed, keras_pose_pack=0)})
    with pytest.raises(PoseError, match="of version 0"):
        open_reader(old)
    for content in (None, b"[]", b"{", index(packed, splits={}), index(packed, skeleton={"a": 1})):
        bad = changed(packed, tmp_path / "foreign.pack", **{INDEX: content})
        with pytest.raises(PoseError, match=r"foreign\.pack"):
            open_reader(bad)


def test_arrays_that_do_not_belong_together_are_refused(packed, tmp_path):
    with zipfile.ZipFile(packed) as archive, np.load(archive.open("val.npz")) as arrays:
        arrays = dict(arrays)
    wrong = {
        "shape": arrays | {"keypoints": arrays["keypoints"][:, :3]},
        "count": arrays | {"crowd": arrays["crowd"] + 1},
        "missing": {k: v for k, v in arrays.items() if k != "boxes"},
        "objects": arrays | {"names": np.array([{}] * 4)},
    }
    for name, content in wrong.items():
        np.savez(tmp_path / "arrays.npz", **content)
        content = (tmp_path / "arrays.npz").read_bytes()
        bad = changed(packed, tmp_path / f"{name}.pack", **{"val.npz": content})
        assert len(PackReader(bad, "train")) == 6
        with pytest.raises(PoseError, match=rf"{name}\.pack"):
            PackReader(bad, "val")


def test_missing_and_damaged_patches_are_counted(packed, tmp_path):
    holes = {"train/000001.jpg": None, "train/000003.jpg": b"\xff\xd8 cut short"}
    path = changed(packed, tmp_path / "holes.pack", **holes)
    # bytes that rot: the zip's checksum tells
    with zipfile.ZipFile(path) as archive:
        place = archive.getinfo("train/000004.jpg").header_offset + 400
    content = bytearray(path.read_bytes())
    content[place] ^= 255
    path.write_bytes(content)
    reader = open_reader(path)
    assert len(reader) == 5 and "gone" in reader.skips.summary()
    for name in ("train/000003.jpg", "train/000004.jpg"):
        sample = next(s for s in reader.samples if s.source == path / name)
        with pytest.raises(PoseError, match=name):
            reader.image(sample)
    Loader(reader, (32, 32), 5, Augment()).batch(0, 0)
    assert reader.skips.count == 3


def test_the_script_says_what_it_wrote(folder, tmp_path):
    command = [sys.executable, "train/pack.py", str(folder), "--out", str(tmp_path / "a.pack")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    size = (tmp_path / "a.pack").stat().st_size
    assert "train: 6 persons\nval: 4 persons" in done.stdout and f"{size} bytes" in done.stdout


# Where nothing of TensorFlow, LiteRT and their tools is installed.
_BARE = """
import runpy, sys
from pathlib import Path

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow", "ai_edge_litert", "litert_quantizer"):
            raise ModuleNotFoundError(f"No module named {name!r}")

sys.meta_path.insert(0, Absent())
sys.path.insert(0, "tests")
import tiny  # the builder that the recipe names

data, out = sys.argv[1:]
Path(out).mkdir()
recipe = Path(out) / "few.py"
recipe.write_text('''
from keras_pose.training.recipe import Recipe
recipe = Recipe(builder="TinyPose", network={}, epochs=1, batch_size=3, ema=0.9)
''')
for script, *arguments in (
    ("train", recipe, "--data", data, "--out", out + "/run"),
    ("evaluate", out + "/run/best.keras", "--data", data, "--json", out + "/scores.json"),
):
    sys.argv = [script, *map(str, arguments)]
    runpy.run_path(f"train/{script}.py", run_name="__main__")
"""


@pytest.mark.backend("jax")
def test_a_pack_trains_where_tensorflow_is_not_installed(packed, tmp_path):
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", _BARE, str(packed), str(tmp_path / "out")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    scores = json.loads((tmp_path / "out/scores.json").read_text())
    assert scores["persons"] == 4 and 0 <= scores["pck@0.2"] <= 100


def test_real_pictures_survive_packing(tmp_path):
    """On Leeds Sports Pose: the crops of the pack are those of the folder, within JPEG noise."""
    theirs = open_reader(shared("data/lspet") / "val", "val")
    theirs.samples = theirs.samples[:40]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "open_reader", lambda where, split: theirs)
        done = packing.pack("lspet", tmp_path / "real.pack", size=224)
    ours = open_reader(tmp_path / "real.pack", "val")
    assert done.persons["val"] == len(ours) == 40 and done.bytes < 40 * 12_000
    apart = []
    for a, b in zip(ours.samples, theirs.samples, strict=True):
        one, two = (
            cut(r.image(s), geometry.crop_box(s.box, (128, 128)), (128, 128))[0].astype(int)
            for r, s in ((ours, a), (theirs, b))
        )
        apart.append(np.abs(one - two).mean())
    assert np.median(apart) < 6 and max(apart) < 15
