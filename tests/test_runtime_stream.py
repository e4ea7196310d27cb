"""stream.run: what is shown, written and counted, without a camera and without a screen."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from runtime_helpers import SIZE, SKELETON

from keras_pose import metadata
from keras_pose.codecs import GaussianHeatmap
from keras_pose.results import Pose
from keras_pose.runtime import stream
from keras_pose.runtime.report import ResultsFile

POINTS = np.array([[20.0, 150.0], [30.0, 180.0], [60.0, 180.0]])
SCENE = (200, 300, 3)


class Source(list):
    """A video of dark frames; note as VideoSource has it."""

    note = None

    def __init__(self, count):
        super().__init__((i / 25, np.zeros(SCENE, np.uint8)) for i in range(count))


class Tracker:
    """Sees the same person in every frame but the first; `fail` is raised in the third."""

    def __init__(self, fail=None):
        codec = GaussianHeatmap(SIZE, SIZE, 4.0)
        about = metadata.Metadata(SKELETON, codec, threshold=0.4)
        self.estimator = SimpleNamespace(metadata=about, skeleton=SKELETON)
        self.threshold, self.frames, self.fail = 0.4, 0, fail

    def update(self, image, seconds):
        self.frames += 1
        if self.fail and self.frames == 3:
            raise self.fail
        return Pose(POINTS, np.ones(3)) if self.frames > 1 else None


class Screen:
    """Keeps what it is shown; the person before it quits at frame `stop`."""

    def __init__(self, stop=None):
        self.shown, self.stop = [], stop

    def write(self, frame):
        self.shown.append(frame.copy())

    def show(self, frame):
        self.write(frame)
        return len(self.shown) != self.stop


def test_the_view_is_mirrored_and_the_poses_are_not(tmp_path):
    tracker, sink, window = Tracker(), Screen(), Screen()
    with ResultsFile(tmp_path / "poses.json", tracker.estimator) as results:
        done = stream.run(
            Source(4), tracker, sink=sink, window=window, results=results, mirror=True, rate=False
        )
    assert (done.frames, done.shown, done.note) == (4, 3, None)
    assert "4 frames, a pose in 3" in str(done)
    plain = Screen()
    stream.run(Source(4), Tracker(), sink=plain, rate=False)
    for seen, saved, straight in zip(window.shown, sink.shown, plain.shown, strict=True):
        np.testing.assert_array_equal(saved, straight[:, ::-1])
        np.testing.assert_array_equal(seen, saved)
    assert not sink.shown[0].any() and sink.shown[1].any()
    values = json.loads((tmp_path / "poses.json").read_text())
    assert [e["pose"] is None for e in values["results"]] == [True, False, False, False]
    found = [(p["x"], p["y"]) for p in values["results"][1]["pose"]["keypoints"]]
    np.testing.assert_array_equal(found, POINTS)


@pytest.mark.parametrize("mirror", [False, True])
def test_the_frame_rate_is_written_readably_into_the_upper_left_corner(mirror):
    shown = []
    for rate in (True, False):
        sink = Screen()
        stream.run(Source(2), Tracker(), sink=sink, mirror=mirror, rate=rate)
        shown.append(sink.shown[0])
    assert shown[0][:60, :150].any() and not shown[0][60:].any()
    assert not shown[1].any()


def test_q_ends_the_run():
    window = Screen(stop=2)
    assert stream.run(Source(9), Tracker(), window=window).frames == 2
    assert len(window.shown) == 2


def test_ctrl_c_ends_the_run_with_complete_files(tmp_path):
    tracker = Tracker(fail=KeyboardInterrupt)
    with ResultsFile(tmp_path / "poses.json", tracker.estimator) as results:
        done = stream.run(Source(9), tracker, results=results)
    values = json.loads((tmp_path / "poses.json").read_text())
    assert done.frames == values["frames"] == len(values["results"]) == 2
    assert "Ctrl-C" in done.note and values["note"] == done.note


def test_an_error_leaves_a_readable_file(tmp_path):
    tracker = Tracker(fail=RuntimeError("no"))
    with (
        pytest.raises(RuntimeError),
        ResultsFile(tmp_path / "poses.json", tracker.estimator) as results,
    ):
        stream.run(Source(9), tracker, results=results)
    assert len(json.loads((tmp_path / "poses.json").read_text())["results"]) == 2
