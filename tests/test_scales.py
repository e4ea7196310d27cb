"""The test at several scales: what it looks at, and what becomes of the maps."""

from typing import ClassVar

import dots
import numpy as np
import pytest
import tiny

from keras_pose import codecs, geometry
from keras_pose.errors import PoseError
from keras_pose.runtime.crop import cut
from keras_pose.training import evaluate
from keras_pose.training.scales import SEVEN, frame, multiscale, read

SIZE, CELL = (64, 48), 4
CODEC = codecs.GaussianHeatmap(SIZE, (SIZE[0] // CELL, SIZE[1] // CELL), sigma=6.0)


def bright(pictures):
    """A fair network: its maps are the brightness of each cell. (B, h, w, 1)."""
    grey = pictures.astype(np.float32).mean(axis=-1) / 255
    b, height, width = grey.shape
    cells = grey.reshape(b, height // CELL, CELL, width // CELL, CELL).mean(axis=(2, 4))
    return cells[..., None]


def blob(size, x, y, sigma=6.0):
    """(H, W, 3) with a bright spot at pixel (x, y)."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    spot = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))
    return np.repeat((255 * spot[..., None]).astype(np.uint8), 3, axis=-1)


def in_frame(x, y, scales, size=SIZE):
    """Where a pixel of the crop lies in the frame of the scales."""
    wide = frame(size, 1.0, scales)[0]
    return x + (wide[1] - size[1]) / 2, y + (wide[0] - size[0]) / 2


@pytest.mark.parametrize("size", [(368, 368), (256, 192), (17, 16), (128, 96)])
@pytest.mark.parametrize("scales", [(), (1.0,), SEVEN, (0.5, 1.0), (0.9,), (1.0, 1.3)])
def test_a_frame_has_the_crop_in_its_middle_and_shows_the_smallest_scale(size, scales):
    wide, margin = frame(size, 1.25, scales)
    for whole, part in zip(wide, size, strict=True):
        assert whole >= part / min(1.0, *scales, 1.0) - 1e-6 and (whole - part) % 2 == 0
    assert wide[0] * size[1] == wide[1] * size[0]  # the aspect
    assert margin / 1.25 == pytest.approx(wide[0] / size[0])
    # a pixel of the frame is one of the crop, moved by what lies around it
    box = (31.0, 47.0, 120.0, 260.0)
    plain = geometry.box_to_size(geometry.crop_box(box, size, 1.25), size)
    around = geometry.box_to_size(geometry.crop_box(box, wide, margin), wide)
    left, above = (wide[1] - size[1]) / 2, (wide[0] - size[0]) / 2
    assert np.allclose(around - plain, [[0, 0, left], [0, 0, above]])
    if min(1.0, *scales, 1.0) == 1.0:
        assert (wide, margin) == (size, 1.25)


@pytest.mark.parametrize("kind", ["gaussian", "softmax"])
def test_scale_1_alone_is_the_plain_answer(kind):
    network = tiny.TinyPose(kind=kind)
    patches = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3)).astype(np.uint8)
    plain = evaluate.of_network(network)(patches)
    alone = evaluate.of_network(network, scales=(1.0,))(patches)
    for one, other in zip(plain, alone, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_scale_1_sees_in_the_frame_what_it_sees_in_the_crop():
    """With real surroundings: the frame's middle is the crop, to the pixel."""
    reader, size = dots.DotsReader(3, (240, 300)), (256, 192)
    codec = codecs.GaussianHeatmap(size, (64, 48), 8.0)
    wide, margin = frame(size, 1.25, (0.7,))
    seen = []
    predict = multiscale(lambda p: seen.append(p) or bright(p), codec, (0.7, 1.0))
    for sample in reader.samples:
        image = reader.image(sample)
        crop, _ = cut(image, geometry.crop_box(sample.box, size, 1.25), size)
        around, _ = cut(image, geometry.crop_box(sample.box, wide, margin), wide)
        predict(around[None])
        difference = np.abs(seen.pop()[0].astype(int) - crop)
        assert difference.max() <= 6 and difference.mean() < 0.1  # OpenCV's 1/32 of a pixel
        assert crop.max() > 100


@pytest.mark.parametrize("scales", [(1.0,), (0.8,), (0.7, 1.0, 1.3), SEVEN])
@pytest.mark.parametrize("point", [(23.5, 31.5), (14.0, 40.0), (35.0, 20.0)])
def test_every_scale_finds_the_same_place(scales, point):
    wide, _ = frame(SIZE, 1.0, scales)
    there = in_frame(*point, scales)
    points, scores = multiscale(bright, CODEC, scales)(blob(wide, *there)[None])
    assert points.shape == (1, 1, 2) and scores.shape == (1, 1)
    assert np.abs(points[0, 0] - there).max() < 0.35


@pytest.mark.parametrize("fine", [1, CELL])
def test_a_moved_picture_moves_the_answer(fine):
    """By whole cells of no scale but 1: the others must read their maps in between."""
    wide, _ = frame(SIZE, 1.0, SEVEN)
    predict = multiscale(bright, CODEC, SEVEN, fine)
    first = in_frame(20.0, 30.0, SEVEN)
    moves = [(0, 0), (5, 0), (0, -7), (-3, 4)]
    pictures = np.stack([blob(wide, first[0] + x, first[1] + y) for x, y in moves])
    points, _ = predict(pictures)
    assert np.abs(points[:, 0] - points[0, 0] - moves).max() < 0.35


def test_batches_are_answered_as_single_pictures():
    wide, _ = frame(SIZE, 1.0, SEVEN)
    rng = np.random.default_rng(1)
    pictures = np.stack([blob(wide, *(rng.uniform(0.3, 0.7, 2) * wide[::-1])) for _ in range(3)])
    predict = multiscale(bright, CODEC, SEVEN)
    points, scores = predict(pictures)
    for n, picture in enumerate(pictures):
        alone = predict(picture[None])
        assert np.allclose(alone[0][0], points[n]) and np.allclose(alone[1][0], scores[n])


def test_a_scale_that_is_right_makes_up_for_the_given_one():
    """A network that knows one size of things: the average finds what scale 1 misses."""
    scales = (0.7, 0.8, 0.9, 1.0)
    wide, _ = frame(SIZE, 1.0, scales)
    point = in_frame(30.0, 40.0, scales)
    picture = blob(wide, *point, sigma=9.0)
    # a smaller, brighter spot that is no key point
    picture = np.maximum(picture, blob(wide, *in_frame(12.0, 12.0, scales), sigma=2.0))

    def picky(pictures):
        """Answers to the spot whose width is that of the codec's bump."""
        maps = bright(pictures)
        out = np.zeros_like(maps)
        for n, m in enumerate(maps[..., 0]):
            area = (m > 0.6).sum()  # of a spot of sigma s: 2 pi s^2 ln(1 / 0.6) / 16 cells
            wanted = 2 * np.pi * (6.5**2) * np.log(1 / 0.6) / CELL**2
            out[n, ..., 0] = m if area <= wanted else 0.1 * (m < 0.05)
        return out

    assert np.abs(multiscale(picky, CODEC, scales)(picture[None])[0][0, 0] - point).max() < 1.0
    alone = frame(SIZE, 1.0, (1.0,))[0]
    crop = cut(picture, ((wide[1] - 48) / 2 - 0.5, (wide[0] - 64) / 2 - 0.5, 48, 64), alone)[0]
    lost = multiscale(picky, CODEC, (1.0,))(crop[None])[0][0, 0]
    assert np.abs(lost - (30.0, 40.0)).max() > 8


def test_the_average_counts_only_scales_that_show_a_cell():
    """Constant maps, 1 at scale 1 and 3 at scale 2: the mean is 2 within, 1 around."""
    given = iter([np.ones((1, 16, 12, 1), np.float32), np.full((1, 16, 12, 1), 3.0, np.float32)])
    codec = _Recording(SIZE, CODEC.map_size, 6.0)
    multiscale(lambda _: next(given), codec, (1.0, 2.0))(np.zeros((1, *SIZE, 3), np.uint8))
    mean = _Recording.seen.pop()[0, ..., 0]
    expected = np.ones((16, 12))
    expected[4:12, 3:9] = 2.0
    assert np.allclose(mean, expected)


class _Recording(codecs.GaussianHeatmap):
    """A codec that keeps what it is to decode."""

    seen: ClassVar[list] = []

    def decode(self, maps):
        self.seen.append(maps)
        return super().decode(maps)


def test_bad_scales_are_refused():
    assert read("") == () and read("0.7, 1") == (0.7, 1.0)
    for text in ("1.2,1.3", "0,1", "-1", "a", "1,,2", "nan", "1,inf"):
        with pytest.raises(PoseError, match="at least one of them at most 1"):
            read(text)
    with pytest.raises(PoseError, match="heatmaps"):
        evaluate.of_network(tiny.TinyPoints(), scales=(1.0,))
    with pytest.raises(PoseError, match="frame"):
        multiscale(bright, CODEC, (0.5, 1.0))(np.zeros((1, *SIZE, 3), np.uint8))


def test_a_file_is_scored_at_several_scales(tmp_path):
    """The whole way: the patches are the frame's, and points come back in the pictures."""
    network = tiny.TinyPose(dots.LSP14, (32, 32))
    network.notes = {"crop_margin": 1.5}
    path = tmp_path / "tiny.keras"
    network.save(path)
    plain, skeleton, size, margin = evaluate.open_model(path)
    assert (size, margin, skeleton.count) == ((32, 32), 1.5, 14)
    predict, _, size, margin = evaluate.open_model(path, scales=(0.8, 1.0))
    assert size == (40, 40) and margin == pytest.approx(1.5 * 40 / 32)
    reader = dots.DotsReader(4)
    found = evaluate.find(predict, reader, size, margin)
    one = evaluate.find(plain, reader, (32, 32), 1.5)
    assert found.predicted.shape == (4, 14, 2)
    crops = np.array([geometry.crop_box(s.box, (32, 32), 1.5) for s in reader.samples])
    low, high = crops[:, None, :2], crops[:, None, :2] + crops[:, None, 2:]
    # up to rounding: untrained maps peak at the border too
    assert ((found.predicted >= low - 1e-3) & (found.predicted <= high + 1e-3)).all()
    assert not np.allclose(found.predicted, one.predicted)
    (tmp_path / "tiny.tflite").write_bytes(b"")
    with pytest.raises(PoseError, match="several scales"):
        evaluate.open_model(tmp_path / "tiny.tflite", scales=(1.0,))


@pytest.mark.parametrize("unbiased", [False, True])
@pytest.mark.parametrize("fine", [1, 3, CELL])
@pytest.mark.parametrize("point", [(23.2, 30.9), (9.0, 50.0)])
def test_a_finer_average_lies_where_the_maps_do(unbiased, fine, point):
    codec = codecs.GaussianHeatmap(SIZE, CODEC.map_size, 6.0, unbiased=unbiased)
    place = geometry.normalise(np.array([[point]], np.float32), SIZE)
    maps = codec.encode(place, np.ones((1, 1), np.float32))
    predict = multiscale(lambda _: maps, codec, (1.0,), fine)
    points, scores = predict(np.zeros((1, *SIZE, 3), np.uint8))
    assert np.abs(points[0, 0] - point).max() < (0.02 if fine == 1 else 0.3)
    assert scores[0, 0] > 0.9
