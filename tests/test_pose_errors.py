"""Input poses for a refiner: distances, frequencies, bands and sources, and on whom they depend."""

import dataclasses

import numpy as np
import pytest
from scipy.stats import chisquare, kstest

from keras_pose import geometry
from keras_pose.data.pose_error_inputs import box_area, generators, near
from keras_pose.data.pose_error_rates import chances, scaled
from keras_pose.data.pose_error_sources import distance
from keras_pose.data.pose_errors import DROPPED, synthesise
from keras_pose.data.sample import Sample
from keras_pose.errors import PoseError
from keras_pose.metrics.diagnosis import (
    CLASSES,
    GOOD,
    INVERSION,
    JITTER,
    MISS,
    SWAP,
    Others,
    classify,
)
from keras_pose.skeletons import COCO17, LSP14, MPII16, Skeleton

# d(.85), d(.5) and d(.1) over sqrt(A), as the facts of the paper have them
DISTANCES = {
    "nose": (0.0296, 0.0612, 0.1116),
    "left_eye": (0.0285, 0.0589, 0.1073),
    "right_ear": (0.0399, 0.0824, 0.1502),
    "left_shoulder": (0.0901, 0.1860, 0.3391),
    "right_elbow": (0.0821, 0.1695, 0.3090),
    "left_wrist": (0.0707, 0.1460, 0.2661),
    "right_hip": (0.1220, 0.2520, 0.4592),
    "left_knee": (0.0992, 0.2049, 0.3734),
    "right_ankle": (0.1015, 0.2096, 0.3820),
}
# V, O and the probabilities of jitter, inversion, swap and miss; good is the rest
WRITTEN = [
    (4, 0, "nose", (0.15, 0.01, 0.01, 0.15)),
    (4, 1, "left_ear", (0.20, 0.01, 0.02, 0.15)),
    (5, 1, "right_shoulder", (0.20, 0.03, 0.15, 0.20)),
    (5, 0, "left_wrist", (0.20, 0.03, 0.06, 0.25)),
    (5, 0, "left_hip", (0.25, 0.06, 0.03, 0.25)),
    (6, 0, "left_hip", (0.25, 0.06, 0.03, 0.15)),
    (10, 2, "right_knee", (0.15, 0.06, 0.10, 0.15)),
    (10, 0, "right_ankle", (0.15, 0.06, 0.03, 0.13)),
    (10, 0, "left_eye", (0.20, 0.01, 0.01, 0.10)),
    (11, 2, "left_eye", (0.15, 0.01, 0.01, 0.02)),
    (11, 2, "left_elbow", (0.15, 0.03, 0.06, 0.10)),
    (15, 3, "left_elbow", (0.15, 0.03, 0.15, 0.10)),
    (16, 3, "left_elbow", (0.15, 0.03, 0.06, 0.10)),
    (17, 9, "right_ankle", (0.10, 0.06, 0.03, 0.05)),
    (17, 0, "nose", (0.10, 0.01, 0.01, 0.02)),
    (17, 0, "right_hip", (0.20, 0.06, 0.03, 0.10)),
    (17, 0, "left_shoulder", (0.15, 0.03, 0.06, 0.05)),
]
CODES = (JITTER, INVERSION, SWAP, MISS)
AREA = 10_000.0


def people(count, others, skeleton=COCO17, size=300.0, seed=0):
    """Persons and those beside them, all over a square of `size`, everything annotated."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0, size, (count, skeleton.count, 2))
    beside = np.ones((count, others, skeleton.count, 3))
    beside[..., :2] = rng.uniform(0, size, (count, others, skeleton.count, 2))
    return truth, np.ones(truth.shape[:2], bool), np.full(count, AREA), beside


def evenly(count, skeleton=COCO17, kinds=range(5)):
    """Chances that are the same for some kinds, and 0 for the others."""
    return np.tile(np.isin(range(5), kinds) / len(kinds), (count, skeleton.count, 1))


def drawn(scene, chance, skeleton=COCO17, epoch=0, **more):
    return synthesise(*scene, chance, skeleton, generators(3, epoch, range(len(chance))), **more)


def test_distances_are_those_of_the_paper():
    for name, expected in DISTANCES.items():
        sigma = COCO17.sigmas[COCO17.index(name)]
        found = [distance(k, 1.0, sigma) for k in (0.85, 0.5, 0.1)]
        np.testing.assert_allclose(found, expected, atol=1e-4)
        np.testing.assert_allclose(distance(0.5, 49.0, sigma), 7 * found[1])


@pytest.mark.parametrize("seen, crowd, name, expected", WRITTEN)
def test_chances_are_those_of_the_table(seen, crowd, name, expected):
    found = chances(COCO17, np.array([17, seen]), np.array([0, crowd]))
    row = found[1, COCO17.index(name)]
    np.testing.assert_allclose(row[list(CODES)], expected, atol=1e-12)
    np.testing.assert_allclose(found.sum(axis=-1), 1.0)


def test_kinds_may_be_more_likely_than_in_the_table():
    table = chances(COCO17, [17, 3], [0, 0])
    assert np.array_equal(scaled(table, ()), table)
    more = scaled(table, (("inversion", 3.0), ("swap", 0)))
    np.testing.assert_allclose(more[..., INVERSION], 3 * table[..., INVERSION])
    np.testing.assert_array_equal(more[..., [JITTER, MISS]], table[..., [JITTER, MISS]])
    assert (more[..., SWAP] == 0).all() and (more >= 0).all()
    np.testing.assert_allclose(more.sum(axis=-1), 1)
    # where errors alone would be more than 1, nothing is good and they keep their proportion
    most = scaled(table, (("miss", 100.0),))
    assert (most[..., GOOD] == 0).all()
    np.testing.assert_allclose(most.sum(axis=-1), 1)
    np.testing.assert_allclose(
        most[..., MISS] / most[..., JITTER], 100 * table[..., MISS] / table[..., JITTER]
    )


def test_other_skeletons_read_the_table_by_names_and_by_shares_of_their_key_points():
    found = chances(LSP14, np.array([14]), np.array([3]))
    whole = chances(COCO17, np.array([17]), np.array([3]))
    for name in LSP14.keypoints:
        like = name if COCO17.index(name) is not None else "left_shoulder"
        assert np.array_equal(found[0, LSP14.index(name)], whole[0, COCO17.index(like)]), name
    pelvis, hip = (MPII16.index(name) for name in ("pelvis", "left_hip"))
    table = chances(MPII16, np.array([4, 5, 9, 10]), np.zeros(4))
    assert np.array_equal(table[:, pelvis], table[:, hip])
    # 5 and 10 of 17 are 4.7 and 9.4 of 16
    np.testing.assert_allclose(table[:, hip, MISS], [0.25, 0.15, 0.15, 0.10])
    camel = Skeleton("camel", ("Nose", "LeftHip", "RightHip", "tail"))
    assert chances(camel, [3], [0])[0, :, JITTER].tolist() == [0.10, 0.20, 0.20, 0.15]


@pytest.mark.parametrize("seen, crowd", [(17, 0), (5, 2)])
def test_kinds_occur_as_often_as_the_table_says(seen, crowd):
    """10,000 draws of a type of key point; where everybody is apart every kind has candidates."""
    count = 10_000
    truth = np.zeros((count, 17, 2)) + 1000.0 * np.arange(17)[:, None]
    visible = np.ones((count, 17), bool)
    beside = np.ones((count, 1, 17, 3))
    beside[:, 0, :, :2] = truth + (0.0, 30_000.0)
    chance = chances(COCO17, np.full(count, seen), np.full(count, crowd))
    _, valid, kinds = drawn((truth, visible, np.full(count, AREA), beside), chance)
    assert valid.all()
    for k, name in enumerate(COCO17.keypoints):
        expected = chance[0, k].copy()
        if name == "nose":  # nobody's mirror image: the others share its chance
            expected[INVERSION] = 0.0
            expected /= expected.sum()
        found = np.bincount(kinds[:, k], minlength=5)
        assert (found[expected == 0] == 0).all()
        assert chisquare(found[expected > 0], count * expected[expected > 0]).pvalue > 1e-4, name


def _radii(skeleton, k, area=AREA):
    return [float(distance(s, area, skeleton.sigmas[k])) for s in (0.85, 0.5, 0.1)]


@pytest.mark.parametrize("skeleton", [COCO17, LSP14], ids=lambda s: s.name)
def test_every_point_is_in_its_band_and_nearest_to_its_own_source(skeleton):
    """10,000 key points of everybody among everybody, one by one and the long way round."""
    count = 10_000 // skeleton.count + 1
    scene = people(count, 3, skeleton)
    truth, visible, _, beside = scene
    visible[np.random.default_rng(1).random(visible.shape) < 0.2] = False
    beside[np.random.default_rng(2).random(beside.shape[:3]) < 0.3] = 0
    beside[1::2, 1:] = 0
    beside[2::4] = 0
    poses, valid, kinds = drawn(scene, evenly(count, skeleton), skeleton)
    assert not valid[~visible].any() and valid[visible].mean() > 0.99
    assert (poses[~valid] == 0).all() and (kinds[~valid] == DROPPED).all()
    assert min(np.bincount(kinds[valid], minlength=5)) > 300
    for n, k in np.argwhere(valid):
        kind, point, partner = kinds[n, k], poses[n, k], skeleton.mirror[k]
        first, middle, last = _radii(skeleton, k)
        own = np.linalg.norm(point - truth[n, k])
        mirrored, theirs = np.inf, [np.inf]
        if partner != k and visible[n, partner]:
            mirrored = np.linalg.norm(point - truth[n, partner])
        for person in beside[n]:
            for j in {k, partner}:
                if person[j, 2]:
                    theirs.append(np.linalg.norm(point - person[j, :2]))
        nearest, eps = min(theirs), 1e-3
        if kind in (GOOD, JITTER):
            low, high = (0, first) if kind == GOOD else (first, middle)
            assert low - eps <= own <= high + eps and own < min(mirrored, nearest) + eps
        elif kind == INVERSION:
            assert mirrored <= middle + eps and mirrored < min(own, nearest) + eps
        elif kind == SWAP:
            assert nearest <= middle + eps and nearest < min(own, mirrored) + eps
        else:
            distances = [own, mirrored, *theirs]
            assert min(distances) >= middle - eps
            assert min(distances) <= last + eps


def test_the_diagnosis_finds_the_kinds_that_were_drawn():
    truth, visible, area, beside = people(500, 3, size=500.0, seed=4)
    poses, valid, kinds = drawn((truth, visible, area, beside), evenly(500))
    everybody = Others(
        np.repeat(np.arange(500), 3),
        beside[..., :2].reshape(-1, 17, 2),
        beside[..., 2].reshape(-1, 17),
        np.full(1500, AREA),
    )
    found = classify(poses, truth, visible, area, COCO17, everybody)
    assert np.array_equal(found[valid], kinds[valid]) and valid.mean() > 0.99


def test_angles_and_radii_are_uniform():
    """Nobody is near, so every candidate is kept."""
    count = 3000
    truth = np.zeros((count, 17, 2)) + 1000.0 * np.arange(17)[:, None]
    scene = (truth, np.ones((count, 17)), np.full(count, AREA), np.zeros((count, 0, 17, 3)))
    bands = {GOOD: (0, 0), JITTER: (0, 1), INVERSION: (None, 1), MISS: (1, 2)}
    k = COCO17.index("left_knee")
    edges = _radii(COCO17, k)
    for kind, (inner, outer) in bands.items():
        poses, _, kinds = drawn(scene, evenly(count, kinds=[kind]))
        assert (kinds[:, k] == kind).all()
        low, high = (0.0 if kind in (GOOD, INVERSION) else edges[inner]), edges[outer]
        around = truth[:, k]
        if kind == INVERSION:
            around = truth[:, COCO17.mirror[k]]
        if kind == MISS:  # a fifth of them around the partner, whose weight is a quarter
            beside = np.abs(poses[:, k] - truth[:, COCO17.mirror[k]]).max(axis=1) < 2 * high
            assert abs(beside.mean() - 0.2) < 0.03
            around = np.where(beside[:, None], truth[:, COCO17.mirror[k]], around)
        away = (poses[:, k] - around).astype(float)
        radius, angle = np.hypot(*away.T), np.arctan2(*away.T)
        assert kstest((radius - low) / (high - low), "uniform").pvalue > 1e-3
        assert kstest(angle / (2 * np.pi) + 0.5, "uniform").pvalue > 1e-3
        assert abs(np.corrcoef(radius, angle)[0, 1]) < 0.08


def test_a_narrow_place_is_found():
    """Among four others' key points a good one has room in a hundredth of its band."""
    truth, visible, area, _ = people(60, 0, size=1e5)
    ring = 0.02 * _radii(COCO17, COCO17.index("nose"))[0] * np.array([[1, 0], [0, 1]])
    beside = np.ones((60, 4, 17, 3))
    for person, step in enumerate((ring[0], -ring[0], ring[1], -ring[1])):
        beside[:, person, :, :2] = truth + step
    _, valid, _ = drawn((truth, visible, area, beside), evenly(60, kinds=[GOOD]))
    assert valid[:, 0].mean() > 0.95


def test_a_kind_without_candidates_leaves_its_chance_to_the_others():
    """Partners in one place: nothing is nearer to one than to the other, which a miss may be."""
    trio = Skeleton("trio", ("top", "left_end", "right_end"))
    count = 1000
    truth = np.tile([[0.0, 0.0], [900.0, 0.0], [900.0, 0.0]], (count, 1, 1))
    truth[count // 2 :, 2] = (5000.0, 0.0)
    scene = (truth, np.ones((count, 3)), np.full(count, AREA), np.zeros((count, 0, 3, 3)))
    chance = np.tile([0.1, 0.2, 0.3, 0.3, 0.1], (count, 3, 1))
    _, valid, kinds = drawn(scene, chance, trio)
    assert valid.all()
    apart, together = kinds[count // 2 :], kinds[: count // 2]
    assert (together[:, 1:] == MISS).all()
    assert set(np.unique(apart[:, 1:])) == {GOOD, JITTER, INVERSION, MISS}
    shares = np.bincount(kinds[:, 0], minlength=5) / count  # alone and without partner
    np.testing.assert_allclose(shares, [0.25, 0.5, 0.0, 0.0, 0.25], atol=0.07)
    # somebody's ends in one place may be swapped with, whichever of them is meant
    beside = np.tile([[0, 3000, 1], [900, 3000, 1], [900, 3000, 1]], (count, 1, 1, 1))
    _, valid, _ = drawn((*scene[:3], beside), evenly(count, trio, [SWAP]), trio)
    assert valid.all()
    # when nothing else is possible the key point is dropped
    poses, valid, kinds = drawn(scene, evenly(count, trio, [INVERSION, SWAP]), trio)
    assert not valid[:, 0].any() and not poses[~valid].any() and (kinds[:, 0] == DROPPED).all()
    assert not valid[: count // 2].any() and valid[count // 2 :, 1:].all()


def test_a_stand_in_takes_the_place_of_what_is_not_annotated():
    truth, visible, area, beside = people(300, 2, size=2000.0)
    visible[:, :9] = False
    truth[:, :9] = np.nan
    stand_in = np.ones((300, 17, 3))
    stand_in[..., :2] = np.random.default_rng(8).uniform(0, 2000, (300, 17, 2))
    stand_in[:, 3] = (np.nan, np.nan, 0)
    scene = (truth, visible, area, beside)
    poses, valid, _ = drawn(scene, evenly(300, kinds=[GOOD]), stand_in=stand_in)
    assert not valid[:, 3].any() and (valid.sum(axis=1) >= 15).all()
    expected = np.where(visible[..., None], truth, stand_in[..., :2])
    far = np.linalg.norm(poses - expected, axis=-1)[valid]
    assert (far <= np.broadcast_to(_radii(COCO17, 11)[0], far.shape) + 1e-3).all()
    # nobody is mistaken for a guess: only a partner that is annotated is inverted
    _, valid, _ = drawn(scene, evenly(300, kinds=[INVERSION]), stand_in=stand_in)
    assert not valid[:, :9].any() or visible[:, np.array(COCO17.mirror)][:, :9][valid[:, :9]].all()
    _, valid, _ = drawn(scene, evenly(300))
    assert not valid[:, :9].any()


def test_a_pose_depends_on_seed_epoch_and_sample_and_on_nothing_else():
    truth, visible, area, beside = people(40, 3)
    visible[::3, 4:9], beside[5:, 1:] = False, 0
    chance = chances(COCO17, visible.sum(axis=1), np.zeros(40))
    indices = np.random.default_rng(0).permutation(1000)[:40]

    def some(chosen, room, seed=1, epoch=2):
        padded = np.zeros((len(chosen), room, 17, 3))
        padded[:, :3] = beside[chosen]
        scene = truth[chosen], visible[chosen], area[chosen], padded, chance[chosen]
        return synthesise(*scene, COCO17, generators(seed, epoch, indices[chosen]))

    whole, order = some(np.arange(40), 3), np.random.default_rng(1).permutation(40)
    for mixed, plain in zip(some(order, 7), whole, strict=True):
        assert np.array_equal(mixed, plain[order])
    for n in (0, 7, 39):
        for one, plain in zip(some(np.array([n]), 4), whole, strict=True):
            assert np.array_equal(one[0], plain[n])
    for other in ({"seed": 4}, {"epoch": 3}):
        assert (some(np.arange(40), 3, **other)[2] != whole[2]).mean() > 0.2
    own = [np.random.default_rng((1, 2, int(i))).random() for i in indices]
    assert not set(own) & {g.random() for g in generators(1, 2, indices)}


def test_a_larger_picture_has_larger_errors():
    truth, visible, area, beside = people(30, 2)
    poses, valid, kinds = drawn((truth, visible, area, beside), evenly(30))
    grown = np.concatenate([beside[..., :2] * 4 + 7, beside[..., 2:]], axis=-1)
    scaled, *same = drawn((truth * 4 + 7, visible, area * 16, grown), evenly(30))
    np.testing.assert_allclose(scaled[valid], poses[valid] * 4 + 7, rtol=1e-4)
    assert np.array_equal(same[0], valid) and np.array_equal(same[1], kinds)


def test_nobody_is_nobody():
    empty = drawn(people(0, 2), evenly(0))
    assert [part.shape for part in empty] == [(0, 17, 2), (0, 17), (0, 17)]
    truth, visible, area, beside = people(4, 0)
    visible[:] = False
    poses, valid, _ = drawn((truth * np.nan, visible, area * 0, beside), evenly(4))
    assert not valid.any() and not poses.any()


def test_what_does_not_fit_is_refused():
    truth, visible, area, beside = people(4, 2)
    wrong = {
        "truth": (truth[:, :9], visible, area, beside),
        "visible": (truth, visible[:, :9], area, beside),
        "area": (truth, visible, area[:2], beside),
        "others": (truth, visible, area, beside[..., :2]),
    }
    for name, scene in wrong.items():
        with pytest.raises(PoseError, match=name):
            drawn(scene, evenly(4))
    with pytest.raises(PoseError, match="chances"):
        drawn((truth, visible, area, beside), evenly(4)[..., :4])
    with pytest.raises(PoseError, match="rngs"):
        synthesise(truth, visible, area, beside, evenly(4), COCO17, generators(0, 0, [1]))
    with pytest.raises(PoseError, match=r"positive area.*person 2"):
        drawn((truth, visible, np.array([1, 1, 0, 1.0]), beside), evenly(4))
    truth[3, 5] = np.nan
    with pytest.raises(PoseError, match=r"finite.*person 3"):
        drawn((truth, visible, area, beside), evenly(4))


def _sample(box, people=(), others=0, area=float("nan"), points=((0, 0), (10, 40))):
    points = np.array(points, np.float32)
    return Sample(
        points,
        np.ones(len(points), bool),
        np.array(box, float),
        "a",
        0,
        np.array(people, float).reshape(-1, 4),
        others=np.zeros((others, len(points), 3)),
        area=area,
    )


def test_size_and_company_of_a_sample():
    box = (0.0, 0.0, 20.0, 50.0)
    assert box_area(_sample(box, area=300.0)) == 1000.0
    assert box_area(_sample(box)) == pytest.approx(0.8 * 10 * 40 / 0.53)
    assert box_area(_sample(box, points=((3, 4),))) == 256.0
    beside, apart = (10.0, 0.0, 20.0, 50.0), (19.0, 0.0, 20.0, 50.0)
    assert geometry.overlap(box, beside) > 0.1 > geometry.overlap(box, apart) > 0
    assert near(_sample(box, [box, beside, apart, beside], others=3)) == 2
    assert near(_sample(box, [beside, apart], others=3)) == 1  # of oneself it need not tell
    assert near(_sample(box, [box, beside, beside], others=1)) == 1  # the other has no labels
    assert near(_sample(box)) == 0
    moved = dataclasses.replace(_sample(box, [box, beside], others=1), box=np.array(box) + 1e-4)
    assert near(moved) == 1


def test_there_is_a_kind_for_every_class():
    assert sorted((GOOD, *CODES)) == list(range(len(CLASSES)))
