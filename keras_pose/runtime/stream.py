"""A video from source to screen, file and JSON, one frame after the other."""

import dataclasses
import os
import sys
import time

import cv2
import numpy as np

from keras_pose.errors import PoseError
from keras_pose.runtime import search
from keras_pose.runtime.drawing import caption, draw
from keras_pose.runtime.report import ResultsFile
from keras_pose.runtime.tracker import PoseTracker
from keras_pose.runtime.video import VideoSink, VideoSource

_TITLE = "keras_pose (q quits)"


@dataclasses.dataclass
class Summary:
    """What a run over a video saw.

    frames: read; shown: frames with a pose; seconds: of the clock; note: None, or why it ended.
    """

    frames: int
    shown: int
    seconds: float
    note: str | None

    def __str__(self):
        rate = self.frames / max(self.seconds, 1e-9)
        lines = [f"{self.frames} frames, a pose in {self.shown}, {rate:.1f} frames a second"]
        return "\n".join(lines + ([f"note: {self.note}"] if self.note else []))


class Window:
    """A window on the screen, in a `with` block.

    Raises PoseError where there is no screen, or an OpenCV that was built without windows.
    """

    def __init__(self):
        headless = "Run with --headless --save out.mp4 to write the video instead"
        if sys.platform == "linux" and not (
            os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
        ):  # asked first, because OpenCV ends the whole process there
            raise PoseError("a screen", "none (DISPLAY is not set)", headless + ".")
        try:
            cv2.namedWindow(_TITLE, cv2.WINDOW_NORMAL)
        except cv2.error as error:
            raise PoseError(
                "an OpenCV that can open windows",
                f"OpenCV {cv2.__version__} without them (opencv-python-headless)",
                headless + ", or pip uninstall opencv-python-headless and install opencv-python.",
            ) from error

    def show(self, frame: np.ndarray) -> bool:
        """Shows a frame (RGB); False when the person at the screen pressed q or closed it."""
        cv2.imshow(_TITLE, cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        if cv2.waitKey(1) & 0xFF in (ord("q"), 27):
            return False
        return cv2.getWindowProperty(_TITLE, cv2.WND_PROP_VISIBLE) >= 1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        cv2.destroyAllWindows()


def run(
    source: VideoSource,
    tracker: PoseTracker,
    *,
    sink: VideoSink | None = None,
    window: Window | None = None,
    results: ResultsFile | None = None,
    mirror: bool = False,
    rate: bool = True,
) -> Summary:
    """Follows a person through a video until it ends, q is pressed or Ctrl-C.

    sink, window, results: where drawn frames and poses go, each optional. mirror: turn the drawn
    view left to right, as in a mirror; the poses in `results` stay in the camera's own pixels.
    rate: write the frames per second into the view.
    """
    skeleton, least = tracker.estimator.metadata.skeleton, search.JOINT * tracker.threshold
    frames = shown = 0
    begin = last = time.perf_counter()
    period, note = None, None
    try:
        for seconds, frame in source:
            pose = tracker.update(frame, seconds)
            frames, shown = frames + 1, shown + (pose is not None)
            if results is not None:
                results.add(pose, frame=frames - 1, seconds=round(seconds, 4))
            now = time.perf_counter()
            # over the last ten frames or so, to be readable
            period = now - last if period is None else period + 0.1 * (now - last - period)
            last = now
            if sink is None and window is None:
                continue
            if pose is not None:
                draw(frame, pose, skeleton, least)
            if mirror:
                frame = np.ascontiguousarray(frame[:, ::-1])
            if rate:
                caption(frame, f"{1 / max(period, 1e-9):.0f} fps")
            if sink is not None:
                sink.write(frame)
            if window is not None and not window.show(frame):
                break
    except KeyboardInterrupt:
        note = "stopped by Ctrl-C; all files are complete"
    note = note or source.note
    if results is not None:
        results.footer.update(frames=frames, note=note)
    return Summary(frames, shown, time.perf_counter() - begin, note)
