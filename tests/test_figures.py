"""Rendered figures: repeatable pictures, possible bodies, key points that lie on what is drawn."""

import cv2
import numpy as np
import pytest

from keras_pose.data import figure_look as look
from keras_pose.data import figures, open_reader
from keras_pose.data.figure_body import INDEX, Body, Placed, forward
from keras_pose.data.figure_look import Look
from keras_pose.data.figure_paint import rasterise
from keras_pose.data.figure_pose import JOINTS, LIMITS, STYLES, Pose, draw_pose, pose_at
from keras_pose.data.figure_reader import FigureReader
from keras_pose.data.figure_scene import background
from keras_pose.errors import PoseError
from keras_pose.skeletons import LSP14

SIZE = (256, 320)


def rest(yaw=0.0, **flexions):
    """Standing with hanging arms; flexions: degrees by joint name."""
    angles = np.zeros((len(JOINTS), 3))
    for name, flexion in flexions.items():
        angles[JOINTS.index(name), 0] = flexion
    return Pose(angles, (yaw, 0.0, 0.0, 0.0))


def person(pose, height=200.0):
    """Key points by name, of an average body around (0, 0)."""
    found = Placed(forward(Body(), pose), (0.0, 0.0), height, distance=1e6).keypoints
    return dict(zip(LSP14.keypoints, found, strict=True))


def tile_at(canvas, point):
    """The tile drawn at a picture point, None outside the figure."""
    x, y = (round(float(v)) for v in point)
    row, column = y - canvas.top, x - canvas.left
    if not canvas.covered[row, column]:
        return None
    tx, ty = canvas.surface[row, column, :2]
    for name in ("TORSO", "HEAD", "ARM", "LEG", "SKIN", "SHOE", "HAIR", "CAP"):
        left, top, width, height = getattr(look, name)
        if left <= tx < left + width and top <= ty < top + height:
            return name
    raise AssertionError(f"({tx}, {ty}) is in no tile")


# ---------------------------------------------------------------------------- whole pictures


def test_a_picture_is_a_pure_function_of_its_seed():
    for size in (SIZE, (96, 80)):
        first, second = figures.render(5, size), figures.render(5, size)
        np.testing.assert_array_equal(first[0], second[0])
        np.testing.assert_array_equal(first[1], second[1])
        assert first[0].shape == (*size, 3) and first[0].dtype == np.uint8
        assert first[1].shape == (14, 2) and first[1].dtype == np.float32


def test_seeds_differ_even_far_apart():
    seeds = [0, 1, 2, 2**32, 2**32 + 1, 2**33]
    pictures = [figures.render(seed, (64, 80)) for seed in seeds]
    for i in range(len(seeds)):
        for j in range(i):
            assert (pictures[i][0] != pictures[j][0]).mean() > 0.5
            assert np.abs(pictures[i][1] - pictures[j][1]).max() > 1


def test_without_the_person_only_the_person_is_missing():
    for seed in range(8):
        full, keypoints = figures.render(seed, SIZE)
        empty, same = figures.render(seed, SIZE, person=False)
        np.testing.assert_array_equal(keypoints, same)
        changed = (full != empty).any(axis=2)
        assert changed.sum() > 300
        height = figures.place(seed, SIZE).height
        rows, columns = np.nonzero(changed)
        low, high = keypoints.min(axis=0), keypoints.max(axis=0)
        # hands, feet and the shadow reach beyond the joints
        assert (low - 0.4 * height < (columns.min(), rows.min())).all()
        assert (high + 0.4 * height > (columns.max(), rows.max())).all()


def test_persons_are_inside_the_picture_large_and_beside_free_background():
    height, width = SIZE
    tall, free = [], []
    for seed in range(200):
        pixels = figures.place(seed, SIZE)
        pixels = pixels.project(pixels.posed.points)[0][:, :2]
        low, high = pixels.min(axis=0), pixels.max(axis=0)
        assert (low >= 0).all() and (high <= (width - 1, height - 1)).all()
        tall.append((high - low)[1] / height)
        free.append(max(low[0], width - high[0]) / width)
    assert 0.5 < np.median(tall) < 0.75 and max(tall) < 0.82
    assert np.mean(np.array(free) > 0.3) > 0.85


def test_backgrounds_of_any_size():
    for size in ((720, 1280), (64, 48), (33, 17)):
        first = background(np.random.default_rng(3), size)
        assert first.shape == (*size, 3) and first.dtype == np.uint8
        np.testing.assert_array_equal(first, background(np.random.default_rng(3), size))
        assert first.std() > 1


# ---------------------------------------------------------------------------- bodies and poses


def test_styles_stay_inside_the_limits_of_joints():
    for name, style in STYLES.items():
        assert (style.low >= LIMITS[..., 0]).all() and (style.high <= LIMITS[..., 1]).all(), name
        assert (style.low <= style.high).all(), name


def test_drawn_poses_respect_limits_and_show_every_side():
    poses = [draw_pose(np.random.default_rng(seed)) for seed in range(400)]
    angles = np.stack([p.angles for p in poses])
    assert (angles >= LIMITS[..., 0]).all() and (angles <= LIMITS[..., 1]).all()
    hinges = [i for i, name in enumerate(JOINTS) if name.endswith(("knee", "elbow"))]
    assert (angles[:, hinges, 0] >= 0).all() and (angles[:, hinges, 1:] == 0).all()
    assert (np.ptp(angles[:, hinges, 0], axis=0) > 90).all()
    quarter = np.floor(np.array([p.view[0] for p in poses]) % 360 / 90).astype(int)
    assert (np.bincount(quarter, minlength=4) > 50).all()


def test_knees_bend_back_and_elbows_forward_and_never_the_other_way():
    # walking to the right, "in front" is a larger x
    bent = person(rest(90, right_knee=60, left_knee=60, right_elbow=60, left_elbow=60))
    for side in ("right", "left"):
        ankle, knee, hip = (bent[f"{side}_{n}"][0] for n in ("ankle", "knee", "hip"))
        assert ankle < knee - 20 and abs(knee - hip) < 1
        assert bent[f"{side}_wrist"][0] > bent[f"{side}_elbow"][0] + 20
    wrong = person(rest(90, right_knee=-60, left_knee=-60, right_elbow=-60, left_elbow=-60))
    straight = person(rest(90))
    for name, point in wrong.items():
        np.testing.assert_allclose(point, straight[name], atol=1e-3)


def test_bones_keep_their_length_in_every_pose():
    bones = {
        ("shoulder", "elbow"): "upper_arm",
        ("elbow", "wrist"): "forearm",
        ("hip", "knee"): "thigh",
        ("knee", "ankle"): "shank",
    }
    for seed in range(60):
        rng = np.random.default_rng(seed)
        body = Body.draw(rng)
        points = forward(body, draw_pose(rng)).points
        for (first, second), name in bones.items():
            for side in ("right", "left"):
                bone = points[INDEX[f"{side}_{first}"]] - points[INDEX[f"{side}_{second}"]]
                assert np.linalg.norm(bone) == pytest.approx(getattr(body, name))
        assert np.linalg.norm(points[INDEX["head_top"]] - points[INDEX["skull"]]) == pytest.approx(
            body.head
        )


def test_proportions_are_human():
    bodies = [Body.draw(np.random.default_rng(seed)) for seed in range(300)]
    for body in bodies:
        assert 0.11 < body.head < 0.21 and 0.24 < body.trunk < 0.40
        assert 0.38 < body.thigh + body.shank < 0.51
        assert 0.8 < body.thigh / body.shank < 1.3 and 1.0 < body.upper_arm / body.forearm < 1.4
        assert body.hips < body.shoulders
        points = forward(body, rest()).points
        stature = points[INDEX["head_top"], 1] - points[INDEX["right_toe"], 1]
        assert stature == pytest.approx(0.985, abs=0.02)
    assert max(b.head for b in bodies) > 0.17 and min(b.head for b in bodies) < 0.13
    assert max(b.girth for b in bodies) > 1.3 and min(b.girth for b in bodies) < 0.8


def test_front_and_back_exchange_left_and_right():
    front, back = person(rest(0)), person(rest(180))
    for name in ("ankle", "knee", "hip", "wrist", "elbow", "shoulder"):
        assert front[f"right_{name}"][0] < front[f"left_{name}"][0]
        assert back[f"right_{name}"][0] > back[f"left_{name}"][0]
        np.testing.assert_allclose(front[f"right_{name}"], back[f"left_{name}"], atol=0.5)


def test_a_mirrored_pose_has_mirrored_key_points():
    for seed in range(40):
        rng = np.random.default_rng(seed)
        body, pose = Body.draw(rng), draw_pose(rng)
        plain = Placed(forward(body, pose), (0.0, 0.0), 100.0).keypoints
        mirrored = Placed(forward(body, pose.mirrored()), (0.0, 0.0), 100.0).keypoints
        expected = plain[list(LSP14.mirror)] * (-1.0, 1.0)
        np.testing.assert_allclose(mirrored, expected, atol=1e-3)


def test_the_gait_is_periodic_and_alternates():
    start, end = pose_at(0.25), pose_at(1.25)
    np.testing.assert_allclose(start.angles, end.angles, atol=1e-9)
    for phase in np.linspace(0, 1, 20):
        angles = pose_at(phase).angles
        assert (angles >= LIMITS[..., 0]).all() and (angles <= LIMITS[..., 1]).all()
    right, left = person(pose_at(0.0)), person(pose_at(0.5))
    assert right["right_ankle"][0] > right["left_ankle"][0] + 30
    assert left["left_ankle"][0] > left["right_ankle"][0] + 30
    assert right["left_wrist"][0] > right["right_wrist"][0]  # arms swing against the legs


# ---------------------------------------------------------------------------- what is drawn


# tiles that may show at a joint, and its radius in statures
JOINT = {
    "ankle": ({"LEG", "SHOE"}, 0.0205),
    "knee": ({"LEG"}, 0.034),
    "hip": ({"LEG", "TORSO"}, 0.053),
    "wrist": ({"ARM", "SKIN"}, 0.016),
    "elbow": ({"ARM"}, 0.0235),
    "shoulder": ({"ARM", "TORSO"}, 0.031),
}


def test_key_points_lie_on_their_limbs():
    found = {name: [] for name in JOINT}
    for seed in range(80):
        placed = figures.place(seed, SIZE)
        canvas = rasterise(placed, Look.draw(np.random.default_rng(seed)), SIZE)
        pixels, zoom = placed.project(placed.posed.points)
        for name, point in zip(LSP14.keypoints, placed.keypoints, strict=True):
            tile = tile_at(canvas, point)
            if name == "head_top":  # at the very edge of a bald head
                inwards = 0.04 * (pixels[INDEX["skull"], :2] - point)
                assert tile or tile_at(canvas, point + inwards), seed
                continue
            assert tile, (seed, name)
            kind = name.rpartition("_")[2]
            if kind in JOINT:
                x, y = (round(float(v)) for v in point)
                tiles, radius = JOINT[kind]
                radius *= zoom[INDEX[name]] * placed.posed.body.girth**0.8
                before = canvas.depth[y - canvas.top, x - canvas.left] - pixels[INDEX[name], 2]
                # nothing is drawn behind the joint's own surface; if that is what is seen, it is
                # the right limb, up to the few joints that another limb touches
                assert before > 0.5 * radius, (seed, name)
                if before < 1.3 * radius:
                    found[kind].append(tile in tiles)
    for kind, right in found.items():
        assert len(right) > 40 and np.mean(right) > 0.95, (kind, len(right), np.mean(right))


def test_nearer_limbs_hide_what_is_behind_them():
    angles = rest(right_shoulder=25, left_shoulder=25, right_elbow=100, left_elbow=100).angles
    for side in ("right", "left"):
        angles[JOINTS.index(f"{side}_shoulder"), 2] = -60  # forearms across the belly
    clothes = Look.draw(np.random.default_rng(1))
    for yaw, expected in ((0.0, {"ARM", "SKIN"}), (180.0, {"TORSO"})):
        placed = Placed(forward(Body(), Pose(angles, (yaw, 0, 0, 0))), (128, 128), 200.0)
        canvas = rasterise(placed, clothes, (256, 256))
        for name in ("right_wrist", "left_wrist"):
            assert tile_at(canvas, placed.keypoints[LSP14.index(name)]) in expected


def test_a_face_is_seen_from_the_front_only():
    clothes = Look.draw(np.random.default_rng(1))
    left, top, width, height = look.HEAD
    for yaw, visible in ((0, True), (40, True), (140, False), (180, False)):
        canvas = rasterise(
            Placed(forward(Body(), rest(yaw)), (128, 128), 220.0), clothes, (256, 256)
        )
        tx, ty = canvas.surface[canvas.covered][:, :2].T
        on_head = (ty >= top) & (ty < top + height) & (tx >= left) & (tx < left + width)
        eyes = on_head & (np.abs(tx - left - width / 2) < 12) & (np.abs(ty - top - 29) < 5)
        assert eyes.any() == visible


def test_paint_has_the_asked_height_and_place():
    standing = pose_at(0.25, yaw=30, stride=0.0)
    for seed, height in ((1, 120.0), (2, 300.0), (3, 600.0)):
        image = np.full((720, 640, 3), 255, np.uint8)
        someone = figures.Appearance.from_seed(seed)
        keypoints = figures.paint(image, someone, standing, (300.0, 360.0), height, shade=0.0)
        rows = np.nonzero((image != 255).any(axis=(1, 2)))[0]
        assert np.ptp(rows) == pytest.approx(height, rel=0.06)
        hips = keypoints[[LSP14.index("right_hip"), LSP14.index("left_hip")]]
        np.testing.assert_allclose(hips.mean(axis=0), (300.0, 360.0), atol=0.02 * height)


def test_paint_keeps_the_clothes_and_cuts_at_the_picture():
    someone = figures.Appearance.from_seed(4)
    scene = background(np.random.default_rng(0), (180, 320))
    whole = figures.paint(scene.copy(), someone, pose_at(0.1), (160.0, 90.0), 120.0)
    for x in (-500.0, 0.0, 318.0, 900.0):
        image = scene.copy()
        keypoints = figures.paint(image, someone, pose_at(0.1), (x, 90.0), 120.0)
        np.testing.assert_allclose(keypoints - (x - 160.0, 0.0), whole, atol=1e-3)
        assert (image != scene).any() == (-100 < x < 420)
    # the same person at two places differs by nothing but the place
    grey = np.full((180, 400, 3), 128, np.uint8)
    first, second = grey.copy(), grey.copy()
    figures.paint(first, someone, pose_at(0.1), (100.0, 90.0), 120.0)
    figures.paint(second, someone, pose_at(0.1), (250.0, 90.0), 120.0)
    shifted = np.abs(first[:, :250].astype(int) - second[:, 150:]).max(axis=2)
    assert (shifted > 8).mean() < 0.002


# ---------------------------------------------------------------------------- reader


def test_reader_tells_what_render_draws():
    reader = FigureReader(count=3, seed=2, size=(128, 160))
    assert len(reader) == 3 and reader.skeleton is LSP14 and reader.skips.count == 0
    for sample in reader.samples:
        picture, keypoints = figures.render(sample.source, (128, 160))
        np.testing.assert_array_equal(sample.keypoints, keypoints)
        photograph = reader.image(sample)
        assert np.abs(photograph.astype(int) - picture).mean() < 6.0  # it went through a JPEG
        np.testing.assert_array_equal(reader.image(sample), photograph)
        assert sample.visible.all()
        x, y, w, h = sample.box
        np.testing.assert_allclose((x, y), keypoints.min(axis=0))
        np.testing.assert_allclose((x + w, y + h), keypoints.max(axis=0), rtol=1e-6)
    assert reader[1] is reader.samples[1]
    half = reader.image(reader[0], reduce=2)
    full = cv2.resize(reader.image(reader[0]), (80, 64), interpolation=cv2.INTER_AREA)
    assert half.shape == full.shape and np.abs(half.astype(int) - full).mean() < 3.0
    assert FigureReader(1, size=(100, 130)).image(reader[0], reduce=8).shape == (13, 17, 3)


def test_training_and_validation_share_no_picture():
    train, val = open_reader("figures:50"), open_reader("figures:50", "val")
    assert not {s.source for s in train.samples} & {s.source for s in val.samples}
    longer = FigureReader(count=60, seed=0)
    shorter = FigureReader(count=50, seed=0)
    assert [s.source for s in longer.samples[:50]] == [s.source for s in shorter.samples]


@pytest.mark.parametrize(
    "arguments", [{"count": 0}, {"count": -3}, {"seed": -1}, {"size": (8, 320)}]
)
def test_reader_refuses_impossible_sets(arguments):
    with pytest.raises(PoseError, match="figures, a seed"):
        FigureReader(**arguments)
