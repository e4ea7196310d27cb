"""The tracker against an oracle that sees a person only as well as a network would."""

import dataclasses

import numpy as np
import pytest

from keras_pose import geometry
from keras_pose.codecs import GaussianHeatmap
from keras_pose.metadata import Metadata
from keras_pose.results import Pose
from keras_pose.runtime import search
from keras_pose.runtime.tracker import PoseTracker
from keras_pose.skeletons import LSP14

FRAME = np.zeros((720, 1280, 3), np.uint8)
FPS = 30.0
# a standing person in units of the height, (0, 0) the top left of the extent
BODY = np.array(
    [(.05, 1), (.08, .75), (.1, .5), (.2, .5), (.22, .75), (.25, 1), (0, .5), (.01, .35),
     (.05, .2), (.25, .2), (.29, .35), (.3, .5), (.15, .15), (.15, 0)]
)  # fmt: skip


@dataclasses.dataclass
class Oracle:
    """Knows where the person is (`truth`, (14, 2) or None), and answers as a network trained on
    persons from 0.4 of the crop would: joints outside the crop or too small are random guesses."""

    metadata: Metadata = dataclasses.field(
        default_factory=lambda: Metadata(LSP14, GaussianHeatmap((128, 128), (32, 32), 6.0))
    )
    truth: np.ndarray | None = None
    calls: int = 0
    least: float = 0.3
    noise: float = 0.01
    hidden: tuple = ()  # key points behind something
    decoy: tuple | None = None  # a place where a small crop looks like a person, at first glance

    def __post_init__(self):
        self.rng = np.random.default_rng(0)

    def __call__(self, image, box=None):
        self.calls += 1
        assert image is FRAME
        box = np.asarray(geometry.whole(FRAME.shape[:2]) if box is None else box, np.float64)
        assert box[2] == pytest.approx(box[3])
        points = box[:2] + self.rng.uniform(0, 1, (14, 2)) * box[2:]
        scores = self.rng.uniform(0.0, 0.15, 14)
        if self.truth is not None:
            extent = geometry.extent(self.truth)
            inside = ((self.truth > box[:2]) & (self.truth < box[:2] + box[2:])).all(axis=1)
            seen = ((self.truth >= 0) & (self.truth <= (1279, 719))).all(axis=1) & inside
            if max(extent[2:]) >= self.least * box[3]:
                noisy = self.truth + self.rng.normal(0, self.noise * box[2], (14, 2))
                seen[list(self.hidden)] = False
                points[seen] = noisy[seen]
                scores[seen] = self.rng.uniform(0.5, 0.9, seen.sum())
        elif self.decoy is not None and box[2] > 300:
            scores[:] = 0.5  # a different pose at every look
        return Pose(points, scores, box)


def _walk(tracker, oracle, truths, seconds=0.0):
    """Runs the tracker; returns per frame (pose, truth)."""
    out = []
    for i, truth in enumerate(truths):
        oracle.truth = truth
        out.append((tracker.update(FRAME, seconds + i / FPS), truth))
    return out


def _person(x, y, height):
    return BODY * height + (x, y)


def _near(pose, truth):
    return pose is not None and np.median(
        np.linalg.norm(pose.keypoints - truth, axis=1)
    ) < 0.05 * np.ptp(truth[:, 1])


@pytest.mark.parametrize("height", [180, 300, 500, 690])
@pytest.mark.parametrize("place", [(0.02, 0.0), (0.5, 0.5), (0.98, 1.0), (0.31, 0.77)])
def test_a_person_is_found_anywhere_within_ten_frames(height, place):
    x = place[0] * (1279 - 0.3 * height)
    y = place[1] * (719 - height)
    oracle = Oracle()
    tracker = PoseTracker(oracle)
    result = _walk(tracker, oracle, [_person(x, y, height)] * 14)
    shown = [i for i, (pose, _) in enumerate(result) if pose is not None]
    assert shown and shown[0] <= 10
    assert shown == list(range(shown[0], 14))
    assert all(_near(pose, truth) for pose, truth in result[shown[0] :])


def test_a_walk_through_the_frame_is_followed_and_its_absence_shown():
    # enters from the left, walks through with a wave of the height, leaves on the right; twice
    height = 180
    walk = [_person(x, 300 + 80 * np.sin(x / 150), height) for x in np.arange(-54, 1280, 6.0)]
    truths = [None] * 60 + walk + [None] * 60 + walk[::-1] + [None] * 60
    oracle = Oracle()
    result = _walk(PoseTracker(oracle), oracle, truths)

    def inside(truth):
        return 0 if truth is None else ((truth >= 0) & (truth <= (1279, 719))).all(axis=1).mean()

    present = [(p, t) for p, t in result if inside(t) >= 0.5]
    absent = [p for p, t in result if inside(t) == 0]
    assert len(present) > 400 and len(absent) > 150
    assert np.mean([_near(p, t) for p, t in present]) >= 0.95
    assert np.mean([p is None for p in absent]) >= 0.95


def test_a_followed_person_costs_one_run_and_a_lost_one_the_budget():
    oracle = Oracle(truth=_person(600, 200, 300))
    tracker = PoseTracker(oracle, budget=3)
    _walk(tracker, oracle, [oracle.truth] * 10)
    assert tracker.following
    before = oracle.calls
    _walk(tracker, oracle, [oracle.truth] * 5, 10 / FPS)
    assert oracle.calls - before == 5
    _walk(tracker, oracle, [None] * 10, 15 / FPS)
    assert not tracker.following
    before = oracle.calls
    _walk(tracker, oracle, [None] * 5, 25 / FPS)
    assert oracle.calls - before == 15


def test_one_lost_frame_does_not_end_it_and_a_lost_person_is_found_again():
    person = _person(600, 200, 300)
    oracle = Oracle()
    tracker = PoseTracker(oracle)
    before = _walk(tracker, oracle, [person] * 10)[-1][0]
    held = _walk(tracker, oracle, [None], 10 / FPS)[0][0]
    assert tracker.following
    assert np.array_equal(held.keypoints, before.keypoints) and held.score < 0.7 * before.score
    assert all(_near(*r) for r in _walk(tracker, oracle, [person] * 3, 11 / FPS))
    assert _walk(tracker, oracle, [None] * 8, 14 / FPS)[-1][0] is None
    # the search begins where the person was lost, so the next frame shows it
    found = _walk(tracker, oracle, [_person(620, 210, 300)] * 8, 22 / FPS)
    assert _near(*found[-1])


def test_legs_that_come_into_view_are_found_again():
    person = _person(600, 100, 500)
    oracle = Oracle(hidden=(0, 1, 4, 5))
    tracker = PoseTracker(oracle)
    before = _walk(tracker, oracle, [person] * 40)
    assert before[-1][0].box[3] < 500  # the crop has closed in on what was seen
    oracle.hidden = ()
    pose, _ = _walk(tracker, oracle, [person] * 24, 40 / FPS)[-1]
    assert np.abs(pose.keypoints - person).max() < 50 and pose.scores.min() > 0.4


def test_a_new_person_needs_more_than_a_followed_one():
    class Even(Oracle):
        level = 0.27

        def __call__(self, image, box=None):
            pose = super().__call__(image, box)
            pose.scores[:] = self.level
            return pose

    oracle = Even()
    tracker = PoseTracker(oracle, threshold=0.3, still=0.8, smoothing=False)
    person = _person(600, 200, 400)
    assert all(p is None for p, _ in _walk(tracker, oracle, [person] * 10))
    oracle.level = 0.8
    assert _walk(tracker, oracle, [person] * 10)[-1][0] is not None
    oracle.level = 0.27
    assert all(p is not None for p, _ in _walk(tracker, oracle, [person] * 20, 1.0))
    oracle.level = 0.2
    assert all(p is None for p, _ in _walk(tracker, oracle, [person] * 20, 2.0)[5:])


def test_a_place_that_looks_different_at_every_look_is_not_a_person():
    oracle = Oracle(decoy=(300, 300))
    result = _walk(PoseTracker(oracle), oracle, [None] * 60)
    assert np.mean([p is None for p, _ in result]) >= 0.95


def test_a_crop_that_is_always_full_does_not_grow_without_end():
    def everywhere(image, box):
        return Pose(box[:2] + BODY * box[2:], np.ones(14), np.asarray(box))

    oracle = Oracle()
    tracker = PoseTracker(oracle)
    _walk(tracker, oracle, [_person(600, 200, 300)] * 10)
    tracker.estimator = everywhere
    boxes = [tracker.update(FRAME, 1 + i / FPS).box for i in range(50)]
    assert max(b[3] for b in boxes) <= 1280


def test_smoothing_steadies_the_shown_pose():
    person = _person(600, 200, 300)
    spread = {}
    for smoothing in (None, False):
        oracle = Oracle(noise=0.01)
        result = _walk(PoseTracker(oracle, smoothing=smoothing), oracle, [person] * 90)
        shown = np.array([p.keypoints for p, _ in result[20:]])
        spread[smoothing] = np.abs(np.diff(shown, axis=0)).mean()
    assert spread[None] < 0.6 * spread[False]


def test_another_picture_size_starts_anew():
    oracle = Oracle(truth=_person(600, 200, 300))
    tracker = PoseTracker(oracle)
    _walk(tracker, oracle, [oracle.truth] * 10)
    assert tracker.following
    tracker.estimator = lambda image, box: Pose(np.zeros((14, 2)), np.zeros(14), box)
    assert tracker.update(np.zeros((100, 100, 3), np.uint8), 1.0) is None
    assert not tracker.following


@pytest.mark.parametrize("size", [(720, 1280), (1280, 720), (480, 480), (1, 1), (30, 4000)])
@pytest.mark.parametrize("input_size", [(128, 128), (256, 192)])
def test_the_plan_covers_the_picture_in_the_networks_aspect(size, input_size):
    plan = search.plan(size, input_size)
    for box in plan:
        assert box[2] / box[3] == pytest.approx(input_size[1] / input_size[0])
    whole = geometry.whole(size)
    assert (plan[0][:2] <= whole[:2] + 1e-9).all()
    assert (plan[0][:2] + plan[0][2:] >= whole[:2] + whole[2:] - 1e-9).all()
    for high in {round(b[3], 6) for b in plan[1:]}:
        boxes = np.array([b for b in plan[1:] if round(b[3], 6) == high])
        for axis, length in ((0, size[1]), (1, size[0])):
            starts = np.unique(boxes[:, axis])
            tile = boxes[0, 2 + axis]
            assert starts[0] <= -0.5 + 1e-9 and starts[-1] + tile >= length - 0.5 - 1e-6
            assert (np.diff(starts) <= tile * 2 / 3 + 1e-6).all()


def test_heaps_and_giants_are_not_plausible():
    box = np.array([0, 0, 100, 100.0])
    sure = np.full(14, 0.9)

    def look(points, scores=sure):
        return search.Look(Pose(points, scores, box), 0.3)

    assert look(BODY * 80 + 10).plausible(centred=True)
    assert not look(BODY * 5 + 50).plausible()
    assert look(BODY * 20 + 50).plausible() and not look(BODY * 20 + 50).plausible(centred=True)
    assert not look(BODY * 150 - 20).plausible()
    few = np.where(np.arange(14) < 3, 0.9, 0.1)
    assert not look(BODY * 80, few).plausible()
    nobody = look(BODY * 80, np.zeros(14))
    assert nobody.extent is None and not nobody.plausible()


def test_a_look_measures_what_is_confident():
    points = np.array([[0, 0], [10, 20], [50, 5], [90, 90]])
    look = search.Look(Pose(points, [0.9, 0.4, 0.2, 0.0], np.array([0, 0, 100, 100.0])), 0.3)
    assert look.score == pytest.approx(0.375) and look.share == 0.5
    assert look.extent == (0, 0, 10, 20) and look.loose == (0, 0, 50, 20)
