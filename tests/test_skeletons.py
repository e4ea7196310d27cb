"""A skeleton derives everything from its names, edges and mirror."""

import dataclasses
import json

import pytest

from keras_pose.errors import PoseError
from keras_pose.skeletons import COCO17, FLIC11, LSP14, MPII16, SKELETONS, Skeleton, get, side


@pytest.fixture(params=sorted(SKELETONS))
def skeleton(request):
    return SKELETONS[request.param]


def test_counts():
    assert (LSP14.count, MPII16.count, COCO17.count, FLIC11.count) == (14, 16, 17, 11)
    assert len(LSP14.edges) == 15  # the count that RePose's tables fit


def test_mirror_exchanges_sides(skeleton):
    for i, name in enumerate(skeleton.keypoints):
        partner = skeleton.keypoints[skeleton.mirror[i]]
        assert partner.split("_")[-1] == name.split("_")[-1]
        assert partner == name or {partner.split("_")[0], name.split("_")[0]} == {"left", "right"}


def test_edges_are_symmetric_under_mirror(skeleton):
    edges = {frozenset(e) for e in skeleton.edges}
    mirrored = {frozenset(skeleton.mirror[i] for i in e) for e in skeleton.edges}
    assert edges == mirrored


def test_neighbours_are_mutual(skeleton):
    for i in range(skeleton.count):
        assert all(i in skeleton.neighbours(j) for j in skeleton.neighbours(i))


def test_hips_out_is_figure_three():
    names = [LSP14.keypoints[i] for i in LSP14.update_order("hips-out")]
    parts = ["hip", "shoulder", "knee", "elbow", "ankle", "wrist"]
    assert names == [f"{s}_{p}" for p in parts for s in ("right", "left")] + ["neck", "head_top"]


def test_top_down_starts_at_the_head(skeleton):
    order = skeleton.update_order("top-down")
    assert sorted(order) == list(range(skeleton.count))
    assert skeleton.keypoints[order[0]] in ("head_top", "nose")
    assert "ankle" in skeleton.keypoints[order[-1]] or "wrist" in skeleton.keypoints[order[-1]]


def test_json_round_trip(skeleton):
    assert Skeleton.from_dict(json.loads(json.dumps(skeleton.to_dict()))) == skeleton


def test_every_joint_is_bound_to_every_other(skeleton):
    reached, waiting = set(), [0]
    while waiting:
        here = waiting.pop()
        reached.add(here)
        waiting += [n for n in skeleton.neighbours(here) if n not in reached]
    assert len(reached) == skeleton.count


def test_a_joint_has_the_same_sigma_in_every_skeleton(skeleton):
    of_coco = dict(zip(COCO17.keypoints, COCO17.sigmas, strict=True))
    for name, sigma in zip(skeleton.keypoints, skeleton.sigmas, strict=True):
        assert sigma == of_coco.get(name, sigma) and 0.02 < sigma < 0.11
    assert COCO17.sigmas[:5] == (0.026, 0.025, 0.025, 0.035, 0.035)  # cocoeval's
    assert COCO17.sigmas[5::2] == (0.079, 0.072, 0.062, 0.107, 0.087, 0.089)


def test_own_skeleton_needs_names_and_edges_only():
    chain = Skeleton("tail", ("a", "b", "c"), ((0, 1), (1, 2)))
    assert chain.mirror == (0, 1, 2)
    assert chain.order[0] == 1  # the middle of the chain
    assert len(chain.sigmas) == len(chain.colors) == 3


@pytest.mark.parametrize(
    "left, right",
    [
        ("left_eye", "right_eye"),
        ("leftEye", "rightEye"),
        ("Left Eye", "Right Eye"),
        ("L_eye", "R_eye"),
        ("eye.l", "eye.r"),
        ("eye_left", "eye_right"),
    ],
)
def test_sides_are_read_in_the_usual_spellings(left, right):
    pair = Skeleton("pair", (left, "nose", right))
    assert pair.mirror == (2, 1, 0) and len(set(pair.colors)) == 3


@pytest.mark.parametrize("name", ["lip", "rump", "leftover", "rightful", "tail", "wheel"])
def test_other_names_have_no_side(name):
    assert side(name) == ("", name)


def test_coco_category_is_one_based():
    category = {"name": "hand", "keypoints": ["wrist", "thumb"], "skeleton": [[1, 2]]}
    assert Skeleton.from_coco_category(category).edges == ((0, 1),)


def test_a_category_of_ones_own_has_cocos_sigmas_by_name_unless_it_says_otherwise():
    names = ["tail", "knee_left", "knee_right"]
    assert Skeleton("dog", names).sigmas == (0.079, 0.087, 0.087)
    assert Skeleton("dog", names, sigmas=(0.1, 0.2, 0.3)).sigmas == (0.1, 0.2, 0.3)
    category = {"name": "dog", "keypoints": names, "skeleton": [[1, 2]]}
    assert Skeleton.from_coco_category(category).sigmas == (0.079, 0.087, 0.087)


def test_cocos_own_category_has_its_sigmas():
    category = {"name": "person", "keypoints": list(COCO17.keypoints), "skeleton": [[16, 14]]}
    assert Skeleton.from_coco_category(category).sigmas == COCO17.sigmas


@pytest.mark.parametrize(
    "change, word",
    [
        ({"edges": ((0, 14),)}, "edges"),
        ({"edges": ((1, 1),)}, "edges"),
        ({"mirror": (1,) * 14}, "mirror"),
        ({"keypoints": ("a",) * 14}, "own name"),
        ({"keypoints": ()}, "own name"),
        ({"order": (0,) * 14}, "order"),
        ({"sigmas": (0.0,) * 14}, "sigmas"),
    ],
)
def test_contradictions_are_refused(change, word):
    with pytest.raises(PoseError, match=word):
        dataclasses.replace(LSP14, **change)


def test_unknown_name_is_refused():
    with pytest.raises(PoseError, match="lsp14"):
        get("lsp15")
    assert get("coco17") is COCO17 and get(COCO17.to_dict()) == COCO17


def test_category_without_names_is_refused():
    with pytest.raises(PoseError, match="keypoints"):
        Skeleton.from_coco_category({"name": "person"})


@pytest.mark.parametrize("bones", [[[1, 2, 1]], [1, 2], [["a", "b"]], 3])
def test_a_category_with_other_bones_is_refused(bones):
    with pytest.raises(PoseError, match="pairs"):
        Skeleton.from_coco_category({"name": "x", "keypoints": ["a", "b"], "skeleton": bones})


def test_a_category_may_have_no_bones():
    for bones in ([], None):
        category = {"name": "x", "keypoints": ["a", "b"], "skeleton": bones}
        assert Skeleton.from_coco_category(category).edges == ()


def test_unknown_ordering_is_refused():
    with pytest.raises(PoseError, match="hips-out"):
        LSP14.update_order("inside-out")
