import dataclasses

import numpy as np
import pytest

from keras_pose.data.augment import Augment, draw
from keras_pose.errors import PoseError

EVERYTHING = Augment(half_body=0.2, zoom_out=0.3, background=0.1)


def plain(drawn):
    values = dataclasses.asdict(drawn)
    places = values.pop("places")
    return values, None if places is None else places.tolist()


def test_a_draw_is_a_function_of_seed_epoch_and_index():
    again = [plain(draw(EVERYTHING, 3, 5, i)) for i in range(40)]
    assert again == [plain(draw(EVERYTHING, 3, 5, i)) for i in range(40)]
    for seed, epoch, index in ((4, 5, 0), (3, 6, 0), (3, 5, 1)):
        assert plain(draw(EVERYTHING, seed, epoch, index)) != again[0]


def test_rates_and_ranges():
    count = 4000
    draws = [draw(EVERYTHING, 0, 0, i) for i in range(count)]
    rates = {
        "flip": np.mean([d.flip for d in draws]),
        "half_body": np.mean([d.half != 0 for d in draws]),
        "zoom_out": np.mean([d.share > 0 for d in draws]),
        "background": np.mean([d.places is not None for d in draws]),
    }
    for name, rate in rates.items():
        expected = getattr(EVERYTHING, name)
        assert abs(rate - expected) < 5 * np.sqrt(expected * (1 - expected) / count), name
    zooms, turns = np.array([d.zoom for d in draws]), np.array([d.degrees for d in draws])
    assert 0.75 <= zooms.min() < 0.78 and 1.27 < zooms.max() <= 1.3
    assert -45 <= turns.min() < -43 and 43 < turns.max() <= 45
    shares = np.array([d.share for d in draws if d.share])
    assert 0.4 <= shares.min() < 0.42 and 0.58 < shares.max() <= 0.6
    assert {d.half for d in draws} == {-1, 0, 1}
    gains = np.array([d.gain for d in draws])
    assert 0.55 < gains.min() < 0.7 and 1.3 < gains.max() < 1.55
    assert abs(gains.mean() - 1) < 0.02


def test_a_changed_probability_moves_nothing_else():
    for i in range(50):
        few, many = draw(Augment(), 1, 2, i), draw(Augment(zoom_out=1.0, background=1.0), 1, 2, i)
        many = dataclasses.replace(many, share=0.0, places=None)
        assert plain(few) == plain(many)


def test_the_numbers_are_those_that_runs_began_with():
    """A run that is resumed must see the pictures that it would have seen."""
    drawn = draw(Augment(half_body=0.2, zoom_out=0.3, background=1.0), 3, 5, 7)
    assert (drawn.zoom, drawn.degrees, drawn.flip) == (1.2174413631350833, -33.23305590616119, True)
    assert drawn.move == (0.3577413802157918, -0.9842762724053917)
    assert drawn.gain == (1.343876280007114, 1.329339612370376, 1.2481382301615076)
    assert drawn.places.sum() == pytest.approx(94.25371527303145, rel=1e-12)
    assert plain(drawn)[0]["share"] == 0.0 and drawn.half == 0


def test_normal_turns_and_crops_are_cut_off_at_their_limits():
    """As Poseur was released: turns clip(N(0, 40), +-80), crops clip(N(1, 0.5), 0.5, 1.5)."""
    release = Augment(
        scale=(1 / 1.5, 2.0), scale_spread=0.5, rotate=80.0, rotate_spread=40.0, rotate_chance=0.6
    )
    draws = [draw(release, 0, 0, i) for i in range(6000)]
    sizes, turns = 1 / np.array([d.zoom for d in draws]), np.array([d.degrees for d in draws])
    for share, expected in (
        (np.mean(turns == 0), 0.4),
        (np.mean(np.abs(turns) == 80), 0.6 * 0.0455),  # beyond two standard deviations
        (np.mean((turns > 0) & (turns < 40)), 0.6 * 0.3413),
        (np.mean(np.isclose(sizes, 0.5)), 0.1587),  # beyond one
        (np.mean(np.isclose(sizes, 1.5)), 0.1587),
        (np.mean((sizes > 1) & (sizes < 1.25)), 0.1915),
    ):
        assert abs(share - expected) < 5 * np.sqrt(expected * (1 - expected) / len(draws))
    assert abs(np.corrcoef(sizes, turns)[0, 1]) < 0.05


def test_the_chance_and_spread_of_turns_move_nothing_else():
    for i in range(50):
        one = draw(Augment(background=0.5), 1, 2, i)
        other = draw(Augment(background=0.5, rotate_chance=0.5, rotate_spread=20.0), 1, 2, i)
        assert plain(one) == plain(dataclasses.replace(other, degrees=one.degrees))
        crop = draw(Augment(background=0.5, scale_spread=0.2), 1, 2, i)
        assert plain(one) == plain(dataclasses.replace(crop, zoom=one.zoom))
        chance = draw(Augment(rotate_chance=0.5), 1, 2, i)
        assert chance.degrees in (0.0, one.degrees)
    halves = Augment(zoom_out=0.5, half_body=0.5, flip=0.5, background=0.5, rotate_chance=0.5)
    draws = [draw(halves, 0, 0, i) for i in range(2000)]
    decided = [
        [d.degrees != 0, d.share > 0, d.half != 0, d.flip, d.places is not None] for d in draws
    ]
    together = np.corrcoef(np.array(decided, float).T)
    assert np.abs(together - np.eye(5)).max() < 0.1  # each decision has its own number


def test_color_keeps_mid_grey_when_brightness_is_neutral():
    drawn = draw(Augment(color=0.3), 0, 0, 7)
    shifted = 127.5 * np.array(drawn.gain) + drawn.offset - 127.5
    assert np.ptp(shifted) < 1e-9 and abs(shifted[0]) <= 127.5 * 0.3
    still = draw(Augment(color=0.0), 0, 0, 7)
    assert still.gain == (1.0, 1.0, 1.0) and still.offset == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"scale": (1.3, 0.7)},
        {"scale": (0.0, 1.0)},
        {"scale": (0.5, 1.0, 2.0)},
        {"scale": ("a", "b")},
        {"scale": (0.5, float("inf"))},
        {"flip": 1.5},
        {"background": -0.1},
        {"smallest": 0.0},
        {"shift": 0.5},
        {"rotate": 200.0},
        {"rotate_chance": 1.1},
        {"rotate_spread": -1.0},
        {"scale_spread": float("nan")},
    ],
)
def test_impossible_values_are_refused(wrong):
    with pytest.raises(PoseError, match=next(iter(wrong))):
        Augment(**wrong)
