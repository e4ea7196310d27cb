import sys

import cv2
import numpy as np
import pytest
from conftest import ROOT
from dots import DotsReader, write

from keras_pose.data import Augment, Loader
from keras_pose.data import sheet as sheets
from keras_pose.data.sheet import inputs, sheet
from keras_pose.runtime.crop import GREY

sys.path.insert(0, str(ROOT / "train"))


def test_colours_are_applied_after_the_warp():
    loader = Loader(DotsReader(4), (64, 64), 4, Augment(color=0.3))
    x, _ = loader.batch(0, 0)
    plain = inputs({**x, "color": np.tile([[[1.0] * 3, [0.0] * 3]], (4, 1, 1))}, (64, 64))
    gain, offset = x["color"][:, :1, None], x["color"][:, 1:, None]
    assert np.array_equal(
        inputs(x, (64, 64)), np.clip(plain * gain + offset, 0, 255).astype(np.uint8)
    )


def test_a_sheet_shows_points_and_marks_empty_crops():
    drawn = sheet(Loader(DotsReader(6), (128, 128), 6), count=6, columns=3)
    assert drawn.shape[1] > drawn.shape[0] > 256
    orange = (np.abs(drawn.astype(int) - (255, 128, 0)).max(axis=-1) < 20).sum()
    assert orange > 100  # bones of the right side
    wide = DotsReader(6, size=(400, 1200), region=(300, 340))
    empty = Loader(wide, (64, 64), 6, Augment(background=1.0, color=0.0))
    red = (sheet(empty, count=6, columns=3) == (255, 0, 0)).all(axis=-1).sum()
    assert red > 4 * 200


def test_points_beyond_the_crop_are_drawn_in_its_margin():
    close = Augment(scale=(1.6, 1.6), rotate=0.0, flip=0.0, color=0.0)
    loader = Loader(DotsReader(6), (128, 128), 6, close, reach=0.25)

    def margins():  # above and below the crops of the first row
        first = sheet(loader, count=6, columns=3)[4:388]
        return np.concatenate([first[:60], first[-60:]]).reshape(-1, 3)

    shown = np.ptp(margins(), axis=-1) > 100
    assert shown.sum() > 100 and (margins()[~shown] == GREY).all(axis=-1).mean() > 0.95
    loader.reach = 0.0
    assert (margins() == GREY).all(axis=-1).mean() < 0.5  # the crop itself


def test_the_margin_moves_no_point_within_the_crop():
    small = Augment(scale=(0.7, 0.7), rotate=20.0, color=0.0)
    reaching, plain = (
        sheet(Loader(DotsReader(2), (128, 128), 2, small, reach=reach), count=2)
        for reach in (0.25, 0.0)
    )
    assert np.array_equal(reaching[68:324, 68:324], plain[4:260, 4:260])


def test_tiles_have_one_shape_whether_somebody_is_there_or_not(monkeypatch):
    tiles = []
    monkeypatch.setattr(sheets, "contact_sheet", lambda given, *_: tiles.extend(given))
    wide = DotsReader(16, size=(400, 1200), region=(300, 340))  # there is room without anyone
    loader = Loader(wide, (128, 96), 8, Augment(background=0.5, color=0.0), reach=0.25)
    sheet(loader, count=16)
    assert {tile.shape for tile in tiles} == {(256 + 2 * 64, 192 + 2 * 48, 3)}
    framed = [(tile[64] == (255, 0, 0)).all(axis=-1).sum() > 10 for tile in tiles]
    assert 0 < sum(framed) < len(tiles)
    for tile, nobody in zip(tiles, framed, strict=True):
        white = (tile == 255).all(axis=-1)
        across, along = white[63, 47:241], white[63:321, 47]
        assert min(across.mean(), along.mean()) > (0.99 if nobody else 0.8)  # bones lie over it
        if nobody:
            assert (tile[:63] == GREY).all() and (tile[:, :47] == GREY).all()
            assert (tile[64, 48:240] == (255, 0, 0)).all()


def test_browse_writes_a_sheet_and_refuses_in_three_lines(tmp_path, capsys):
    import browse

    data = write(DotsReader(5), tmp_path / "data")
    out = tmp_path / "new" / "sheet.png"
    arguments = ["repose_lsp", "--data", str(data), "--count", "4"]
    browse.main([*arguments, "--out", str(out), "--set", "augment.zoom_out=1.0"])
    assert cv2.imread(str(out)).std() > 5 and "5 persons" in capsys.readouterr().out
    small = cv2.imread(str(out))
    browse.main([*arguments, "--out", str(out)])
    assert not np.array_equal(small, cv2.imread(str(out)))
    for wrong in (
        ["--set", "augment.zoomout=1"],
        ["--set", "reach=0.25"],  # training would refuse it too
        ["--out", str(tmp_path / "sheet.unknown")],
    ):
        with pytest.raises(SystemExit) as stop:
            browse.main([*arguments, *wrong])
        assert stop.value.code == 2
        assert capsys.readouterr().err.count("\n") == 3
