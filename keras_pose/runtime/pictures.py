"""Pictures, folders and videos from disk to drawn copies and one results file."""

import contextlib
import dataclasses
from pathlib import Path

import cv2

from keras_pose.errors import PoseError
from keras_pose.runtime import search, stream
from keras_pose.runtime.crop import load_image
from keras_pose.runtime.drawing import draw
from keras_pose.runtime.estimator import PoseEstimator
from keras_pose.runtime.picture_files import PICTURES
from keras_pose.runtime.report import ResultsFile
from keras_pose.runtime.still import find_person
from keras_pose.runtime.tracker import PoseTracker
from keras_pose.runtime.video import VideoSink, VideoSource

VIDEOS = {".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".3gp"}
RESULTS = "results.json"


@dataclasses.dataclass
class Counts:
    """pictures: read; found: with a pose; skipped: [(name, reason)]."""

    pictures: int = 0
    found: int = 0
    skipped: list = dataclasses.field(default_factory=list)

    def __str__(self):
        lines = [f"{self.pictures} pictures, a pose in {self.found}, {len(self.skipped)} skipped"]
        return "\n".join(lines + [f"skipped {name}: {why}" for name, why in self.skipped])


def predict(
    estimator: PoseEstimator,
    source: str | Path,
    out: str | Path,
    *,
    json: bool = False,
    box=None,
    threshold: float | None = None,
) -> Counts | stream.Summary:
    """Finds a person in each picture, or follows one through a video, and draws copies into `out`.

    source: a picture, a folder of pictures or a video; json: also write out/results.json with the
    key points in the pixels of the original; box: (x, y, w, h) of the person in a single picture.
    In a folder an unreadable picture is skipped and counted.
    Raises PoseError for a source that is missing, empty or unreadable, and for an `out` that would
    overwrite the source or cannot be written.
    """
    source, out = Path(source), Path(out)
    if not source.exists():
        raise PoseError(
            "a picture, a folder or a video", f"{source}, which is not there", "Check the path."
        )
    folder = source if source.is_dir() else source.parent
    if out.resolve() == folder.resolve():
        raise PoseError(
            "an output folder other than the source's",
            str(out),
            "Choose another --out: drawn copies have the names of the originals.",
        )
    if box is not None and (source.is_dir() or source.suffix.lower() in VIDEOS):
        raise PoseError(
            "a box together with one picture", f"a box and {source}", "Leave out --box."
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PoseError(
            "a folder to write to", f"{out} ({error.strerror})", "Choose another --out."
        ) from error
    with contextlib.ExitStack() as stack:
        results = None
        if json:
            results = stack.enter_context(ResultsFile(out / RESULTS, estimator, source=source.name))
        if source.suffix.lower() in VIDEOS and source.is_file():
            return _video(estimator, source, out, results, threshold)
        return _pictures(estimator, source, out, results, box, threshold)


def _video(estimator, source, out, results, threshold):
    tracker = PoseTracker(estimator, threshold)
    with VideoSource(source) as video, VideoSink(out / f"{source.stem}.mp4", video.fps) as sink:
        return stream.run(video, tracker, sink=sink, results=results, rate=False)


def _pictures(estimator, source, out, results, box, threshold):
    paths = [source]
    if source.is_dir():
        paths = sorted(p for p in source.iterdir() if p.suffix.lower() in PICTURES)
        if not paths:
            raise PoseError(
                f"a folder with pictures ({', '.join(sorted(PICTURES))})",
                f"{source} without any",
                "Check the path; folders below it are not searched.",
            )
    counts = Counts()
    least = search.JOINT * (estimator.metadata.threshold if threshold is None else threshold)
    for path in paths:
        try:
            image = load_image(path, orient=True)
        except PoseError as error:
            if not source.is_dir():
                raise
            counts.skipped.append((path.name, error.received))
            continue
        pose = find_person(estimator, image, box, threshold)
        counts.pictures, counts.found = counts.pictures + 1, counts.found + (pose is not None)
        if results is not None:
            results.add(pose, source=path.name, size=list(image.shape[:2]))
        if pose is not None:
            draw(image, pose, estimator.skeleton, least)
        _save(out / path.name, image)
    if results is not None:
        results.footer["skipped"] = [{"source": n, "reason": why} for n, why in counts.skipped]
    if not counts.pictures:
        raise PoseError(
            "at least one readable picture",
            f"{source} with {len(counts.skipped)} unreadable ones",
            "Open one of them in a picture viewer.",
        )
    return counts


def _save(path, image):
    """Writes a drawn copy, as .png where OpenCV has no writer for the original's kind."""
    if path.suffix.lower() not in PICTURES:
        path = path.with_name(f"{path.name}.png")
    if not cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR)):
        raise PoseError(
            "a place to write drawn pictures to",
            str(path),
            "Choose an --out that you may write to, on a disk with room.",
        )
