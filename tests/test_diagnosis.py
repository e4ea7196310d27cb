"""Kinds of errors: each class at its threshold, what they do not depend on, and bad input."""

import numpy as np
import pytest

from keras_pose.errors import PoseError
from keras_pose.metrics import diagnosis
from keras_pose.metrics.diagnosis import GOOD, INVERSION, JITTER, MISS, SWAP, UNANNOTATED
from keras_pose.skeletons import COCO17, LSP14, Skeleton

# a middle and a pair, with different constants
TRIO = Skeleton("trio", ("top", "left_end", "right_end"), sigmas=(0.05, 0.1, 0.1))
TRUTH = np.array([[[50.0, 10.0], [20.0, 90.0], [80.0, 90.0]]])
SEEN, AREA = np.ones((1, 3)), np.array([900.0])
RNG = np.random.default_rng(5)


def reach(similarity, area=900.0, sigma=0.1):
    """The distance at which two points are so similar."""
    return np.sqrt(-2 * area * (2 * sigma) ** 2 * np.log(similarity))


def beside(point, distance):
    angle = RNG.uniform(0, 2 * np.pi)
    return np.asarray(point) + distance * np.array([np.cos(angle), np.sin(angle)])


def one(k, point, others=None, seen=SEEN):
    """The class of key point k of a person of TRIO who is predicted at `point`, else perfectly."""
    predicted = TRUTH.copy()
    predicted[0, k] = point
    return diagnosis.classify(predicted, TRUTH, seen, AREA, TRIO, others)[0, k]


def other(points, area=900.0, seen=(1, 1, 1)):
    """Another person in the picture of the first one."""
    points = np.asarray(points, float)[None]
    return diagnosis.Others(np.array([0]), points, np.array([seen]), np.array([area]))


NEIGHBOUR = other(TRUTH[0] + (500.0, 0.0))


@pytest.mark.parametrize("k", range(3))
def test_good_jitter_and_miss_at_their_thresholds(k):
    sigma, spot = TRIO.sigmas[k], TRUTH[0, k]
    for similarity, inside, outside in ((0.85, GOOD, JITTER), (0.5, JITTER, MISS)):
        distance = reach(similarity, sigma=sigma)
        assert one(k, beside(spot, distance * (1 - 1e-9))) == inside
        assert one(k, beside(spot, distance * (1 + 1e-9))) == outside


def test_inversion_at_its_threshold():
    for k, partner in ((1, 2), (2, 1)):
        spot = TRUTH[0, partner]
        assert one(k, spot) == INVERSION
        assert one(k, beside(spot, reach(0.5) * (1 - 1e-9))) == INVERSION
        assert one(k, beside(spot, reach(0.5) * (1 + 1e-9))) == MISS


def test_swap_at_its_threshold_with_the_same_or_the_mirror_key_point():
    for k, theirs in ((0, 0), (1, 1), (1, 2), (2, 1)):
        spot, sigma = NEIGHBOUR.keypoints[0, theirs], TRIO.sigmas[k]
        assert one(k, spot, NEIGHBOUR) == SWAP and one(k, spot) == MISS
        assert one(k, beside(spot, reach(0.5, sigma=sigma) * (1 - 1e-9)), NEIGHBOUR) == SWAP
        assert one(k, beside(spot, reach(0.5, sigma=sigma) * (1 + 1e-9)), NEIGHBOUR) == MISS


def test_another_key_point_of_anybody_is_a_miss():
    assert one(0, TRUTH[0, 1]) == MISS
    assert one(1, NEIGHBOUR.keypoints[0, 0], NEIGHBOUR) == MISS


def test_another_persons_size_measures_the_way_to_that_person():
    place, far = NEIGHBOUR.keypoints[0], reach(0.5, area=900.0)
    point = place[1] + (0.0, 2 * far * 0.99)
    assert one(1, point, other(place)) == MISS
    assert one(1, point, other(place, area=4 * 900.0)) == SWAP


def test_the_closest_point_decides_even_near_the_own_one():
    # both ends within reach of each other: the nearer one has it
    truth = TRUTH.copy()
    truth[0, 2] = truth[0, 1] + (8.0, 0.0)
    assert reach(0.85) > 2.0
    for x, expected in ((1.0, GOOD), (7.0, INVERSION)):
        predicted = truth.copy()
        predicted[0, 1] += (x, 0.0)
        codes = diagnosis.classify(predicted, truth, SEEN, AREA, TRIO)
        assert codes[0, 1] == expected


def test_of_equally_close_points_the_own_comes_first_then_the_partner():
    truth = TRUTH.copy()
    truth[0, 2] = truth[0, 1] + (8.0, 0.0)
    predicted = truth.copy()
    predicted[0, 1] += (4.0, 0.0)

    def code(truth, others=None):
        return diagnosis.classify(predicted, truth, SEEN, AREA, TRIO, others)[0, 1]

    assert code(truth) in (GOOD, JITTER)
    assert code(truth, other(truth[0])) in (GOOD, JITTER)
    away = truth.copy()
    away[0, 1] -= 200.0
    assert code(away, other(away[0])) == INVERSION
    assert code(away, other(truth[0])) == INVERSION  # the other person is as close
    assert code(away, other(predicted[0])) == SWAP  # closer


def test_points_without_annotation_are_neither_diagnosed_nor_sources():
    seen = np.array([[1, 1, 0]])
    assert one(2, TRUTH[0, 2], seen=seen) == UNANNOTATED
    assert one(1, TRUTH[0, 2], seen=seen) == MISS
    hidden = other(NEIGHBOUR.keypoints[0], seen=(1, 0, 0))
    assert one(1, NEIGHBOUR.keypoints[0, 1], hidden) == MISS
    truth = TRUTH.copy()
    truth[0, 2] = np.nan  # what stands there does not matter
    assert diagnosis.classify(TRUTH, truth, seen, AREA, TRIO).tolist() == [[GOOD, GOOD, -1]]


def test_answers_that_are_not_finite_are_misses():
    for value in (np.nan, np.inf, -np.inf):
        assert one(0, (value, 10.0), NEIGHBOUR) == one(1, (3.0, value), NEIGHBOUR) == MISS


def crowd(count=40, pictures=12, skeleton=COCO17):
    """Persons of random size and place in a few pictures, predicted with every kind of error."""
    truth = RNG.uniform(0, 100, (count, 1, 2)) + RNG.uniform(0, 80, (count, skeleton.count, 2))
    seen = RNG.random((count, skeleton.count)) < 0.8
    area = RNG.uniform(1000, 6000, count)
    predicted = truth + RNG.normal(0, 1, truth.shape) * RNG.uniform(0, 25, (count, 1, 1))
    predicted[::3] = predicted[::3][:, list(skeleton.mirror)]
    return predicted, truth, seen, area, np.arange(count) % pictures


def diagnose(predicted, truth, seen, area, picture, skeleton=COCO17):
    others = diagnosis.others_in(picture, truth, seen, area)
    return diagnosis.classify(predicted, truth, seen, area, skeleton, others)


def test_a_crowd_has_every_class_and_each_key_point_one():
    people = crowd()
    codes = diagnose(*people)
    assert set(codes[people[2]].tolist()) == set(range(5))
    assert (codes[~people[2]] == UNANNOTATED).all()
    table = diagnosis.frequencies(codes, COCO17)
    assert list(table) == ["mean", *COCO17.keypoints]
    for shares in table.values():
        assert sum(shares.values()) == pytest.approx(100.0)
        assert tuple(shares) == diagnosis.CLASSES


def test_scale_place_and_side_of_the_picture_do_not_matter():
    predicted, truth, seen, area, picture = crowd()
    codes = diagnose(predicted, truth, seen, area, picture)
    for scale in (0.1, 7.3):
        again = diagnose(predicted * scale, truth * scale, seen, area * scale**2, picture)
        assert (again == codes).all()
    again = diagnose(predicted + (300, -70), truth + (300, -70), seen, area, picture)
    assert (again == codes).all()
    mirror, turned = list(COCO17.mirror), np.array([-1.0, 1.0])
    again = diagnose(
        predicted[:, mirror] * turned, truth[:, mirror] * turned, seen[:, mirror], area, picture
    )
    assert (again == codes[:, mirror]).all()


def test_persons_together_are_persons_one_by_one():
    predicted, truth, seen, area, picture = crowd()
    together = diagnose(predicted, truth, seen, area, picture)
    for n in range(len(truth)):
        near = (picture == picture[n]) & (np.arange(len(truth)) != n)
        others = diagnosis.Others(np.zeros(near.sum(), int), truth[near], seen[near], area[near])
        row = slice(n, n + 1)
        alone = diagnosis.classify(predicted[row], truth[row], seen[row], area[row], COCO17, others)
        assert (alone[0] == together[n]).all()


@pytest.mark.parametrize("skeleton", (COCO17, LSP14, TRIO), ids=lambda s: s.name)
def test_truth_is_good_and_its_mirror_image_inverted(skeleton):
    _, truth, _, area, picture = crowd(skeleton=skeleton)
    seen = np.ones(truth.shape[:2])
    assert (diagnose(truth, truth, seen, area, picture, skeleton) == GOOD).all()
    mirror = np.asarray(skeleton.mirror)
    codes = diagnose(truth[:, mirror], truth, seen, area, picture, skeleton)
    pairs = mirror != np.arange(skeleton.count)
    assert (codes[:, pairs] == INVERSION).all() and (codes[:, ~pairs] == GOOD).all()
    table = diagnosis.frequencies(codes, skeleton)
    assert table["mean"]["inversion"] == pytest.approx(100 * pairs.mean())


def test_the_next_persons_pose_is_all_swaps():
    _, truth, _, area, picture = crowd(count=12, pictures=4)
    seen = np.ones(truth.shape[:2])
    theirs = truth[(np.arange(12) + 4) % 12]  # the next person of the same picture
    assert (diagnose(theirs, truth, seen, area, picture) == SWAP).all()
    strangers = np.arange(12)  # nobody shares a picture
    codes = diagnose(theirs + 1e4, truth, seen, area, strangers)
    assert (codes == MISS).all()


def test_others_are_everybody_else_of_the_picture_and_nobody_of_another():
    _, truth, seen, area, _ = crowd(count=6)
    picture = np.array(["b", "a", "b", "c", "b", "a"])
    found = diagnosis.others_in(picture, truth, seen, area, persons=[4, 3, 1])
    assert found.of.tolist() == [0, 0, 2]
    assert (found.keypoints == truth[[0, 2, 5]]).all() and (found.area == area[[0, 2, 5]]).all()
    assert (found.visible == seen[[0, 2, 5]]).all()


def test_choosing_is_greedy_and_every_person_is_chosen_once():
    similarity = np.array([[0.9, 0.8, 0.0], [0.95, 0.3, 0.0], [0.7, 0.6, np.nan]])
    assert diagnosis.match(similarity, [0.9, 0.8, 0.7]).tolist() == [0, 1, -1]
    assert diagnosis.match(similarity, [0.7, 0.8, 0.9]).tolist() == [-1, 1, 0]
    assert diagnosis.match(similarity, [0.5, 0.5, 0.5], least=0.4).tolist() == [0, -1, 1]
    assert diagnosis.match(np.zeros((2, 0)), [1, 2]).tolist() == [-1, -1]
    assert diagnosis.match(np.zeros((0, 2)), []).tolist() == []


def test_area_of_an_extent():
    points = np.array([[(10, 10), (30, 50), (20, 20)]] * 4, float)
    seen = np.array([[1, 1, 1], [1, 0, 1], [0, 0, 1], [0, 0, 0]])
    area = diagnosis.area_from_extent(points, seen)
    assert area[:2] == pytest.approx([0.8 * 20 * 40, 0.8 * 10 * 10])
    assert np.isnan(area[2:]).all()
    line = np.array([[(5, 0), (5, 40), (5, 8)]], float)  # as narrow as nobody is
    assert diagnosis.area_from_extent(line, seen[:1]) == pytest.approx(0.8 * 40 * 10)
    assert diagnosis.area_from_extent(line * 3, seen[:1]) == pytest.approx(9 * 0.8 * 40 * 10)


@pytest.mark.parametrize(
    "change, part",
    [
        ({"predicted": TRUTH[:, :2]}, "predicted of shape"),
        ({"predicted": TRUTH[0]}, "predicted of shape"),
        ({"predicted": 3.0}, "predicted of shape"),
        ({"truth": np.repeat(TRUTH, 2, axis=0)}, "each person of shape"),
        ({"visible": SEEN[:, :1]}, "visible of each person"),
        ({"area": np.array([1.0, 2.0])}, "area of each person"),
        ({"area": np.array([0.0])}, "person 0"),
        ({"area": np.array([np.nan])}, "person 0"),
        ({"truth": TRUTH * np.nan}, "finite annotated"),
        ({"others": other(TRUTH[0], area=-1.0)}, "other person 0"),
        ({"others": diagnosis.Others(np.array([1]), TRUTH, SEEN, AREA)}, "others.of"),
    ],
)
def test_what_does_not_fit_is_refused(change, part):
    given = {"predicted": TRUTH, "truth": TRUTH, "visible": SEEN, "area": AREA, **change}
    with pytest.raises(PoseError, match=part):
        diagnosis.classify(skeleton=TRIO, **given)


def test_nobody_has_no_frequencies():
    nobody = diagnosis.classify(
        np.zeros((0, 3, 2)), np.zeros((0, 3, 2)), np.zeros((0, 3)), np.zeros(0), TRIO
    )
    assert nobody.shape == (0, 3)
    for codes in (nobody, np.full((2, 3), UNANNOTATED)):
        with pytest.raises(PoseError, match="at least one annotated"):
            diagnosis.frequencies(codes, TRIO)
    with pytest.raises(PoseError, match="codes of shape"):
        diagnosis.frequencies(np.zeros((2, 4)), TRIO)
    table = diagnosis.frequencies([[GOOD, UNANNOTATED, MISS]], TRIO)
    assert np.isnan(list(table["left_end"].values())).all()
    assert table["mean"]["good"] == table["mean"]["miss"] == 50.0
