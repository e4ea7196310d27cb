"""load_image and cut: what is read, and where every pixel lands."""

import cv2
import numpy as np
import pytest
from runtime_helpers import turned_jpeg

from keras_pose import geometry
from keras_pose.errors import PoseError
from keras_pose.runtime.crop import cut, load_image


def _blob(size, centre, sigma):
    y, x = np.mgrid[: size[0], : size[1]]
    distance = (x - centre[0]) ** 2 + (y - centre[1]) ** 2
    bump = 255 * np.exp(-0.5 * distance / sigma**2)
    return np.repeat(bump[..., None], 3, axis=2).astype(np.uint8)


def _centroid(patch):
    weight = patch[..., 0].astype(np.float64)
    y, x = np.mgrid[: weight.shape[0], : weight.shape[1]]
    return np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()


@pytest.mark.parametrize("width", [40, 96, 130, 192, 250, 333, 420])
@pytest.mark.parametrize("offset", [0.0, 0.37])
def test_a_point_lands_where_the_matrix_says(width, offset):
    centre = (260.3 + offset, 231.8)
    image = _blob((470, 530), centre, width / 20)
    box = (centre[0] - width * 0.45 + offset, centre[1] - width * 0.55, width, width * 1.1)
    patch, matrix = cut(image, box, (96, 64))
    assert np.array_equal(matrix, geometry.box_to_size(box, (96, 64)))
    assert patch.shape == (96, 64, 3) and patch.dtype == np.uint8
    assert np.abs(_centroid(patch) - geometry.apply(matrix, centre)).max() < 0.05


@pytest.mark.parametrize("size", [(201, 303), (200, 300), (199, 301)])
def test_the_whole_picture_keeps_its_place_at_any_remainder(size):
    # blocks of 3 do not divide these sizes, so the fractional path is taken as well
    centre = (size[1] - 60.4, size[0] - 55.2)
    patch, matrix = cut(_blob(size, centre, 9), geometry.whole(size), (66, 100))
    assert np.abs(_centroid(patch) - geometry.apply(matrix, centre)).max() < 0.05


def test_a_crop_of_the_same_size_copies_the_pixels():
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    patch, _ = cut(image, (9.5, 4.5, 30, 20), (20, 30))
    assert np.array_equal(patch, image[5:25, 10:40])


def test_outside_the_picture_is_grey():
    image = np.zeros((40, 40, 3), np.uint8)
    patch, _ = cut(image, (-40.5, -0.5, 80, 40), (40, 80))
    assert (patch[:, :39] == 127).all() and (patch[:, 41:] == 0).all()
    far, _ = cut(image, (500, 500, 20, 20), (8, 8))
    assert (far == 127).all()


def test_shrinking_does_not_alias():
    stripes = np.zeros((512, 512, 3), np.uint8)
    stripes[:, ::2] = 255
    patch, _ = cut(stripes, geometry.whole((512, 512)), (64, 64))
    assert np.abs(patch.astype(int) - 127).max() <= 2


def test_boxes_of_any_size_can_be_cut():
    image = np.full((30, 40, 3), 255, np.uint8)
    for scale in (1e-6, 1e3, 1e9, 1e200):
        patch, _ = cut(image, (20 - scale / 2, 15 - scale / 2, scale, scale), (16, 16))
        assert patch.shape == (16, 16, 3)


def test_a_picture_of_one_pixel_can_be_cut():
    patch, _ = cut(np.full((1, 1, 3), 200, np.uint8), geometry.whole((1, 1)), (16, 16))
    assert abs(int(patch[8, 8, 0]) - 200) < 6  # a little grey from outside


@pytest.mark.parametrize("box", [(0, 0, 0, 5), (0, 0, 5, -1), (np.nan, 0, 5, 5), (0, 0, 5)])
def test_a_box_without_area_is_refused(box):
    with pytest.raises(PoseError, match="finite numbers with positive"):
        cut(np.zeros((8, 8, 3), np.uint8), box, (4, 4))


def test_rgb_order_grey_and_rgba(tmp_path):
    red = np.zeros((6, 7, 3), np.uint8)
    red[..., 2] = 255  # OpenCV writes BGR
    cv2.imwrite(str(tmp_path / "red.png"), red)
    cv2.imwrite(str(tmp_path / "grey.png"), red[..., 2])
    cv2.imwrite(str(tmp_path / "rgba.png"), np.dstack([red, np.full((6, 7), 9, np.uint8)]))
    assert load_image(tmp_path / "red.png")[0, 0].tolist() == [255, 0, 0]
    assert load_image(tmp_path / "rgba.png")[0, 0].tolist() == [255, 0, 0]
    assert load_image(tmp_path / "grey.png").tolist() == np.full((6, 7, 3), 255).tolist()


def test_a_reduced_read_is_smaller_and_the_same_picture(tmp_path):
    cv2.imwrite(str(tmp_path / "a.jpg"), _blob((160, 240), (120, 80), 40))
    whole, half = load_image(tmp_path / "a.jpg"), load_image(tmp_path / "a.jpg", reduce=2)
    assert half.shape == (80, 120, 3)
    expected = cv2.resize(whole, (120, 80), interpolation=cv2.INTER_AREA)
    assert np.abs(half.astype(int) - expected).mean() < 2


def test_exif_orientation_is_followed_only_when_asked(tmp_path):
    path = tmp_path / "turned.jpg"
    path.write_bytes(turned_jpeg(np.zeros((8, 16, 3), np.uint8)))
    assert load_image(path).shape == (8, 16, 3)
    assert load_image(path, orient=True).shape == (16, 8, 3)


def test_unreadable_files_are_named(tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"not a picture")
    (tmp_path / "empty.jpg").write_bytes(b"")
    whole = turned_jpeg(np.arange(64 * 64 * 3, dtype=np.uint8).reshape(64, 64, 3))
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])  # OpenCV would fill it with grey
    for name in ("bad.jpg", "empty.jpg", "cut.jpg", "missing.jpg"):
        with pytest.raises(PoseError, match=name):
            load_image(tmp_path / name)
    with pytest.raises(PoseError, match="reduce of 1, 2, 4 or 8"):
        load_image(tmp_path / "bad.jpg", reduce=3)
