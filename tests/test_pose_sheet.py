"""The sheet of input poses: what is in each tile, and where."""

import dataclasses
import sys

import cv2
import numpy as np
import pytest
from conftest import ROOT
from dots import DotsReader, color, write

from keras_pose.data import pose_scene, pose_sheet
from keras_pose.errors import PoseError
from keras_pose.metrics.diagnosis import CLASSES, GOOD, INVERSION, MISS, SWAP

sys.path.insert(0, str(ROOT / "train"))


@pytest.fixture
def tiles(monkeypatch):
    """Tiles of a sheet, one list a person."""

    def made(reader, size=(256, 192), order=None, **options):
        found = []
        monkeypatch.setattr(pose_sheet, "contact_sheet", lambda given, *_: found.extend(given))
        pose_sheet.sheet(reader, size, range(len(reader)) if order is None else order, **options)
        across = 2 + len(CLASSES)
        return [found[start : start + across] for start in range(0, len(found), across)]

    return made


def _of(tile, kind):
    """Pixels in the colour of a kind."""
    return (tile == pose_sheet.COLORS[kind]).all(axis=-1)


def _with_others(reader):
    """Everybody beside somebody whose key points are a good way to the right."""
    for n, sample in enumerate(reader.samples):
        beside = np.column_stack([sample.keypoints + (30.0, 0.0), np.ones(14)]).astype(np.float32)
        reader.samples[n] = dataclasses.replace(sample, others=beside[None])
    return reader


def test_each_kind_has_its_tile_and_its_colour(tiles):
    row = tiles(_with_others(DotsReader(1)))[0]
    assert len({tile.shape for tile in row}) == 1 and row[0].shape == (256, 192, 3)
    for kind in range(len(CLASSES)):
        counts = [_of(tile, kind).sum() for tile in row]
        assert counts[2 + kind] > 50
        rest = [count for n, count in enumerate(counts) if n not in (1, 2 + kind)]
        assert max(rest) < 10, CLASSES[kind]
    assert sum(_of(row[1], kind).sum() for kind in range(len(CLASSES))) > 50
    assert not any(_of(row[0], kind).sum() > 10 for kind in range(len(CLASSES)))


def test_a_kind_that_a_recipe_leaves_out_is_not_in_the_draw(tiles):
    none = [(kind, 0.0) for kind in CLASSES[1:]]
    row = tiles(_with_others(DotsReader(1)), errors=none)[0]
    drawn = [_of(row[1], kind).sum() for kind in range(len(CLASSES))]
    assert drawn[0] > 50 and max(drawn[1:]) < 10
    assert _of(row[2 + SWAP], SWAP).sum() > 50  # what each kind is can still be seen


def test_who_is_alone_is_not_swapped(tiles):
    alone, beside = tiles(DotsReader(1))[0], tiles(_with_others(DotsReader(1)))[0]
    assert _of(alone[2 + SWAP], SWAP).sum() == 0 < _of(beside[2 + SWAP], SWAP).sum()


def test_points_are_drawn_where_they_are(tiles, monkeypatch):
    """With next to no distance good points lie on the painted dots, and inverted ones on those of
    the partners, which have the other side's colour."""
    monkeypatch.setattr(pose_scene, "box_area", lambda sample: 1e-6)
    seen = []

    def marked(tile, truth, placed, valid, kinds):
        seen.append((tile.copy(), placed, valid, kinds))
        return tile

    monkeypatch.setattr(pose_sheet, "_marked", marked)
    reader = DotsReader(2)
    tiles(reader, size=(128, 96))
    mirror = np.array(reader.skeleton.mirror)
    checked = 0
    for tile, placed, valid, kinds in seen:
        if len(set(kinds[valid])) > 1:
            continue  # the draw, in which bones are drawn
        for k in np.flatnonzero(valid & np.isin(kinds, (GOOD, INVERSION))):
            x, y = np.rint(placed[k]).astype(int)
            expected = color(mirror[k] if kinds[k] == INVERSION else k)
            assert np.argmax(tile[y, x]) == np.argmax(expected)
            checked += 1
    assert checked > 30


def test_pictures_that_cannot_be_read_are_counted_and_left_out(tiles):
    reader = DotsReader(4, broken=[1])
    assert len(tiles(reader, count=3)) == 3 and reader.skips.count == 1
    with pytest.raises(PoseError, match="readable"):
        tiles(DotsReader(2, broken=[0, 1]))


def test_another_epoch_draws_other_poses(tiles):
    first, again, other = (tiles(DotsReader(1), epoch=epoch)[0] for epoch in (0, 0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert np.array_equal(first[0], other[0])
    assert not np.array_equal(first[2 + MISS], other[2 + MISS])


def test_browse_shows_poses(tmp_path, capsys):
    import browse

    data = write(DotsReader(3), tmp_path / "data")
    out = tmp_path / "poses.png"
    browse.main(
        ["repose_lite_s_lsp", "--data", str(data), "--out", str(out), "--poses", "--count", "2"]
    )
    picture = cv2.imread(str(out))
    assert "3 persons" in capsys.readouterr().out
    assert picture.shape[1] > 3 * picture.shape[0]  # seven tiles a row, two rows
