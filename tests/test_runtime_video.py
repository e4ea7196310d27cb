"""Videos: a round trip, files that end early, and sources that are not there."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from keras_pose.errors import PoseError
from keras_pose.runtime.video import VideoSink, VideoSource

SHADES = np.arange(20) * 10 + 20


def _frame(shade):
    image = np.full((96, 160, 3), shade, np.uint8)
    image[:, :80, 0] = 250  # RGB, to see that the channels keep their places
    return image


def _write(path, shades=SHADES, fps=25.0):
    with VideoSink(path, fps) as sink:
        for shade in shades:
            sink.write(_frame(shade))
    assert sink.count == len(shades)


def test_frames_and_times_come_back(tmp_path):
    path = tmp_path / "new" / "clip.mp4"
    _write(path)
    with VideoSource(path) as source:
        assert source.size == (96, 160) and source.fps == 25 and source.expected == 20
        times, frames = zip(*source, strict=True)
    np.testing.assert_allclose(times, np.arange(20) / 25, atol=1e-6)
    for frame, shade in zip(frames, SHADES, strict=True):
        assert abs(frame[40, 120].mean() - shade) < 4
        assert frame[40, 40, 0] > 230
    assert source.count == 20 and source.note is None and not source.live


def test_times_grow_where_the_file_has_none(tmp_path):
    _write(tmp_path / "clip.mp4")
    with VideoSource(tmp_path / "clip.mp4") as source:
        capture = source._capture
        source._capture = SimpleNamespace(
            read=capture.read, release=capture.release, get=lambda what: 0.0
        )
        times = [seconds for seconds, _ in source]
    np.testing.assert_allclose(times, np.arange(20) / 25)


def test_a_video_that_ends_early_says_so_once_and_keeps_its_frames(tmp_path):
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, (160, 96))
    for shade in SHADES:
        writer.write(_frame(shade))
    writer.release()
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with VideoSource(path) as source:
        frames = list(source)
    assert 0 < len(frames) == source.count < 20
    assert f"ended early, after {source.count} of 20 frames" in source.note


def test_sources_that_cannot_be_read_are_named(tmp_path):
    _write(tmp_path / "cut.mp4")
    content = (tmp_path / "cut.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(content[: len(content) // 2])
    (tmp_path / "text.mp4").write_text("not a video")
    (tmp_path / "empty.avi").write_bytes(b"")
    for name in ("cut.mp4", "text.mp4", "empty.avi", "missing.mp4"):
        with pytest.raises(PoseError, match=name):
            VideoSource(tmp_path / name)


def test_a_missing_camera_is_refused():
    with pytest.raises(PoseError, match="camera 93") as error:
        VideoSource(93)
    assert "another number" in error.value.advice


def test_a_sink_refuses_another_size_and_keeps_what_it_has(tmp_path):
    with VideoSink(tmp_path / "a.mp4") as sink:
        sink.write(_frame(50))
        with pytest.raises(PoseError, match="one size"):
            sink.write(_frame(50)[:50])
    with VideoSource(tmp_path / "a.mp4") as source:
        assert len(list(source)) == 1


def test_a_sink_without_frames_writes_no_file(tmp_path):
    with VideoSink(tmp_path / "a.mp4"):
        pass
    assert not (tmp_path / "a.mp4").exists()


def test_a_sink_that_cannot_write_says_where(tmp_path):
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "file").write_text("no folder")
    for name in ("folder.mp4", "file/below.mp4"):
        with pytest.raises(PoseError, match=name), VideoSink(tmp_path / name) as sink:
            sink.write(_frame(50))
