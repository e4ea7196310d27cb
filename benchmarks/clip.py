"""Does webcam.py follow a small person through a video, and show nothing where nobody is?

    python benchmarks/clip.py --model M.tflite [--model N.tflite] [--seconds 60] [--keep DIR]

Composes a 1280x720 clip from the built-in figures with exact key points, runs apps/webcam.py on it
as a user would, and compares its JSON with the truth: benchmarks/results/clip.csv.
In each shot of the clip an empty scene is entered by a person of a quarter of the frame's height,
who walks in, turns to the camera, moves on the spot, walks on and leaves an empty scene.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
import table

from keras_pose import geometry, metadata
from keras_pose.data.figures import Appearance, Pose, background, draw_pose, paint, pose_at
from keras_pose.errors import command_line
from keras_pose.runtime import VideoSink, search
from keras_pose.skeletons import LSP14

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "clip.csv"
SIZE, FPS, SHARE = (720, 1280), 25, 0.25  # the person's height, of the frame's
SHOT = 15.0  # seconds from one scene to the next
_EMPTY, _WALK = 0.17, 0.25  # of a shot: empty at each end, walking in and walking out
_GRAIN = 3.0  # the camera's noise, grey levels


def compose(path, seconds: float = 60.0, seed: int = 0, size=SIZE) -> dict:
    """Writes the clip (.mp4) and its truth beside it (.json), and returns the truth.

    seconds: at least one shot is written; size: (H, W). The truth: fps, size and per frame the
    14 key points [[x, y], ...] in pixels, also of parts outside the frame, or None.
    """
    rng = np.random.default_rng(seed)
    shots = max(1, round(seconds / SHOT))
    grain = np.clip(rng.normal(4 * _GRAIN, _GRAIN, (8, *size)), 0, 255).astype(np.uint8)
    grain = [cv2.merge([g] * 3) for g in grain]
    frames = []
    with VideoSink(path, FPS) as sink:
        for shot in range(shots):
            scene = background(rng, size)
            for pose, centre, person in _shot(rng, seed * 1000 + shot, size):
                frame, points = scene.copy(), None
                if pose is not None:
                    points = paint(frame, person, pose, centre, SHARE * size[0]).tolist()
                lifted = cv2.add(frame, grain[rng.integers(len(grain))])
                sink.write(cv2.subtract(lifted, (4 * _GRAIN,) * 4))
                frames.append(points)
    truth = {"fps": FPS, "size": list(size), "seed": seed, "frames": frames}
    Path(path).with_suffix(".json").write_text(json.dumps(truth))
    return truth


def _shot(rng, seed, size):
    """(pose, centre, appearance) for each frame of one shot; pose None where it is empty."""
    person, height = Appearance.from_seed(seed), SHARE * size[0]
    way = rng.choice((-1.0, 1.0))
    level = rng.uniform(0.25, 0.72) * size[0]  # of the pelvis
    stop = rng.uniform(0.35, 0.65) * size[1]
    gestures = [draw_pose(rng) for _ in range(3)]
    count = round(SHOT * FPS)
    outside = 0.6 * height  # from the frame's edge to the pelvis of somebody just outside
    begin, end = (-outside, size[1] + outside) if way > 0 else (size[1] + outside, -outside)
    for frame in range(count):
        part = frame / (count - 1)
        if not _EMPTY <= part <= 1 - _EMPTY:
            yield None, None, person
            continue
        coming = (part - _EMPTY) / _WALK
        going = (part - (1 - _EMPTY - _WALK)) / _WALK
        if coming < 1:
            x = begin + coming * (stop - begin)
        else:
            x = stop + max(going, 0.0) * (end - stop)
        # a step of each leg takes about 0.85 of the height
        walk = pose_at(abs(x - begin) / (0.85 * height), yaw=90.0 * way)
        if coming < 1 or going > 0:
            pose = walk
        else:
            pose = _gesture(walk, gestures, (coming - 1) * _WALK / (1 - 2 * _EMPTY - 2 * _WALK))
        yield pose, (x, level), person


def _gesture(walk, gestures, part):
    """Walk, gesture, ..., gesture, walk: `part` 0..1 of the way, with rests at each of them."""
    keys = [walk, *gestures, walk]
    place = min(max(part, 0.0), 1.0) * (len(keys) - 1)
    index = min(int(place), len(keys) - 2)
    first, second = keys[index], keys[index + 1]
    mix = place - index
    mix = mix * mix * (3 - 2 * mix)
    view = np.array(first.view) * (1 - mix) + _unwound(second.view, first.view) * mix
    view[3] *= 0.3  # nobody lies down in mid air
    return Pose(first.angles * (1 - mix) + second.angles * mix, tuple(view))


def _unwound(view, reference):
    """The same view with its yaw within half a turn of the reference's."""
    turned = np.array(view)
    turned[0] = reference[0] + (view[0] - reference[0] + 180.0) % 360.0 - 180.0
    return turned


def score(truth: dict, results: dict, threshold: float) -> dict:
    """Compares webcam.py's JSON with the truth.

    A frame has a person when at least half of the key points are inside it, and none when no key
    point is; the few between are not counted. A person is followed when a pose is shown whose
    drawn key points' box overlaps the true one by half or more (IoU), or whose median
    distance from the true key points inside the frame is at most 0.3 of the torso; `close` counts
    the second alone.
    """
    height, width = truth["size"]
    counts = dict.fromkeys(("present", "absent", "followed", "close", "nothing"), 0)
    for points, entry in zip(truth["frames"], results["results"], strict=True):
        pose = entry["pose"]
        points = None if points is None else np.array(points)
        inside = np.zeros(1, bool)
        if points is not None:
            inside = ((points > -0.5) & (points < (width - 0.5, height - 0.5))).all(axis=1)
        if not inside.any():
            counts["absent"] += 1
            counts["nothing"] += pose is None
        elif inside.mean() >= 0.5:
            counts["present"] += 1
            if pose is not None:
                close, overlap = _compare(points, inside, pose, threshold)
                counts["close"] += close
                counts["followed"] += close or overlap >= 0.5
    present, absent = max(counts["present"], 1), max(counts["absent"], 1)
    return {
        "frames": len(truth["frames"]),
        "with person": counts["present"],
        "followed %": round(100 * counts["followed"] / present, 1),
        "close %": round(100 * counts["close"] / present, 1),
        "without": counts["absent"],
        "nothing shown %": round(100 * counts["nothing"] / absent, 1),
    }


def _compare(points, inside, pose, threshold):
    """Whether the pose is close, and how far the boxes overlap."""
    found = np.array([(p["x"], p["y"]) for p in pose["keypoints"]])
    sure = np.array([p["score"] for p in pose["keypoints"]]) >= search.JOINT * threshold
    ends = [LSP14.index(n) for n in ("left_shoulder", "right_hip", "right_shoulder", "left_hip")]
    torso = max(np.linalg.norm(points[a] - points[b]) for a, b in (ends[:2], ends[2:]))
    median = np.median(np.linalg.norm(found - points, axis=1)[inside])
    box = geometry.extent(found, sure)
    overlap = 0.0 if box is None else geometry.overlap(box, geometry.extent(points, inside))
    return bool(median <= 0.3 * torso), overlap


def watch(model, clip, threshold: float | None = None) -> dict:
    """Runs apps/webcam.py on the clip and returns its JSON."""
    with tempfile.TemporaryDirectory() as folder:
        poses = Path(folder) / "poses.json"
        command = [sys.executable, ROOT / "apps" / "webcam.py", "--model", model]
        command += ["--source", clip, "--headless", "--json", poses]
        command += [] if threshold is None else ["--threshold", threshold]
        subprocess.run([str(c) for c in command], check=True, stdout=subprocess.DEVNULL)
        return json.loads(poses.read_text())


@command_line
def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", action="append", required=True, help="a .tflite; repeatable")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the clip")
    parser.add_argument("--seed", type=int, default=0, help="another number is another clip")
    parser.add_argument("--threshold", type=float, help="least score (default: the model's own)")
    parser.add_argument("--keep", help="folder in which the clip stays")
    args = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(args.keep or folder) / f"clip-{args.seed}.mp4"
        print(f"composing {args.seconds:.0f} seconds ...", flush=True)
        truth = compose(clip, args.seconds, args.seed)
        rows = []
        for model in args.model:
            limit = metadata.read(model).threshold if args.threshold is None else args.threshold
            row = score(truth, watch(model, clip, args.threshold), limit)
            rows.append({"model": Path(model).name, "threshold": round(limit, 3), **row})
            print("  ".join(f"{k}: {v}" for k, v in rows[-1].items()), flush=True)
    table.write_with_command(RESULTS, rows, __file__)


if __name__ == "__main__":
    main()
