"""Frames from a camera or a file, and frames into a file."""

import contextlib
import os
import time
from collections.abc import Iterator

import cv2
import numpy as np

from keras_pose.errors import PoseError

_FPS = 30.0  # where neither camera nor file says

# FFmpeg prints hundreds of lines about a damaged file; VideoSource says it in one
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")


class VideoSource:
    """Frames with their times, from a camera (number) or a video file (path).

    Iterate over it once: `for seconds, frame in source`, frame (H, W, 3) RGB uint8. A file's times
    are its own, a camera's are the clock's; both grow and begin near 0. Use it in a `with` block.

    fps: frames per second as declared; expected: frames that the file declares, None for cameras;
    count: frames read so far; note: None, or one line when the video ended early.
    Raises PoseError when there is no such camera or file, or the first frame cannot be read.
    """

    def __init__(self, source: int | str | os.PathLike):
        self.name = f"camera {source}" if isinstance(source, int) else os.fspath(source)
        self.live = isinstance(source, int)
        self.count, self.note = 0, None
        if not self.live and not os.path.isfile(source):
            raise PoseError(
                "a video file or a camera's number",
                f"{source}, where there is no file",
                "Check the path; /dev/video0 is camera 0.",
            )
        self._capture = cv2.VideoCapture(source if self.live else os.fspath(source))
        opened = self._capture.isOpened()
        self._first = self._read() if opened else None
        if self._first is None:
            self._capture.release()
            raise PoseError(*self._refusal())
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 1.0 <= fps <= 1000.0 else _FPS
        frames = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.expected = frames if frames > 0 and not self.live else None

    def _refusal(self):
        if self.live:
            return (
                "a camera that gives pictures",
                self.name,
                "Plug it in, close other programs that use it, or try another number; "
                "a video file works as well.",
            )
        return (
            "a video file that OpenCV can read",
            f"{self.name}, which is empty, damaged or of another kind",
            "Convert it, for example with: ffmpeg -i FILE -c:v libx264 -pix_fmt yuv420p out.mp4",
        )

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the first frame."""
        return self._size

    def _read(self):
        try:
            read, frame = self._capture.read()
        except cv2.error:
            return None
        if not read or frame is None or frame.size == 0:
            return None
        if self.count == 0:
            self._size = frame.shape[:2]
        return frame

    def __iter__(self) -> Iterator[tuple[float, np.ndarray]]:
        begin, last = time.monotonic(), -1.0
        frame, self._first = self._first, None
        while frame is not None:
            if self.live:
                seconds = time.monotonic() - begin
            else:
                stamp = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000.0
                seconds = stamp if stamp > last else last + 1.0 / self.fps
            last = max(seconds, 0.0)
            self.count += 1
            yield last, cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
            frame = self._read()
        if self.live:
            self.note = f"{self.name} stopped giving pictures after {self.count} frames"
        elif self.expected is not None and self.count < self.expected - 1:
            # some formats only estimate their count, so one missing frame is not a loss
            self.note = f"{self.name} ended early, after {self.count} of {self.expected} frames"

    def close(self) -> None:
        """Frees the camera or file."""
        self._capture.release()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class VideoSink:
    """An mp4 file, begun with the first frame and finished at the end of its `with` block.

    path: the file, its folder is made; fps: frames per second.
    Raises PoseError when the file cannot be written or a frame has another size.
    """

    def __init__(self, path: str | os.PathLike, fps: float = _FPS):
        self.path, self.fps, self.count = os.fspath(path), float(fps), 0
        self._writer = self._size = None

    def write(self, frame: np.ndarray) -> None:
        """Adds a frame, (H, W, 3) RGB uint8, as large as the first."""
        if self._writer is None:
            self._open(frame.shape[:2])
        if frame.shape[:2] != self._size:
            raise PoseError(
                f"frames of one size, {self._size}",
                f"frame {self.count} of {frame.shape[:2]} for {self.path}",
                "Write the second video into a file of its own.",
            )
        self._writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        self.count += 1

    def _open(self, size):
        with contextlib.suppress(OSError):  # where it fails, the writer will too
            os.makedirs(os.path.dirname(self.path) or ".", exist_ok=True)
        code = cv2.VideoWriter_fourcc(*"mp4v")
        writer = cv2.VideoWriter(self.path, code, self.fps, (size[1], size[0]))
        if not writer.isOpened():
            raise PoseError(
                "a path where an mp4 video can be written",
                self.path,
                "End the name in .mp4 and choose a folder that you may write to.",
            )
        self._writer, self._size = writer, size

    def close(self) -> None:
        """Finishes the file."""
        if self._writer is not None:
            self._writer.release()
            self._writer = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
