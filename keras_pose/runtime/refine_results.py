"""Anybody's results refined: a file in COCO's format in, the same entries with better points out.

Symbols: R key points of a result, K of the model.
"""

import contextlib
import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from keras_pose import geometry, skeletons
from keras_pose.errors import PoseError
from keras_pose.metrics import coco_format
from keras_pose.runtime.json_list import Damaged, JsonList, replaced
from keras_pose.runtime.refiner import PoseRefiner, known

_DIGITS = 3  # thousandths of a pixel, as results of this project have


@dataclasses.dataclass
class Refined:
    """What became of a file of results.

    entries: read; refined: of them. kept: why entries are written as they were; noted: what is
    strange about entries that are refined; both reason -> [how many, the first's number]. damage:
    where the file breaks off, "" when it is whole.
    """

    entries: int = 0
    refined: int = 0
    kept: dict = dataclasses.field(default_factory=dict)
    noted: dict = dataclasses.field(default_factory=dict)
    damage: str = ""

    @property
    def good(self) -> bool:
        """Whether the file was whole, and something in it could be refined if it had anything."""
        return not self.damage and (self.refined > 0 or not self.entries)

    def __str__(self):
        left = self.entries - self.refined
        lines = [f"{self.entries} entries, {self.refined} refined, {left} written as they were"]
        for reasons, said in (
            (self.kept, "as they were, without"),
            (self.noted, "refined, though"),
        ):
            lines += [f"{n} x {said} {why} (first: entry {i})" for why, (n, i) in reasons.items()]
        return "\n".join(lines + [f"cut or damaged: {self.damage}"] * bool(self.damage))


def refine_results(
    refiner: PoseRefiner,
    results: str | os.PathLike,
    out: str | os.PathLike,
    pictures: Callable[..., np.ndarray],
    skeleton=None,
    tell: Callable[[str], None] = print,
    seen: Callable[[float], None] = lambda share: None,
) -> Refined:
    """Writes a file of results with x and y of its key points refined, and nothing else changed.

    results: a COCO JSON list, read once, entry by entry, so of any length. out: another file,
    replaced in one go at the end. pictures: image_id -> (H, W, 3) RGB uint8, see PictureFiles.
    skeleton: what the results' key points are: a Skeleton, its name, or names with commas; the
    model's where it is None. Key points go to the model by their names: what it does not know stays
    as it is, and what the results do not have it is not shown. tell: gets a line for each entry
    that is strange, or that cannot be refined and is written as it was, byte by byte. seen: gets
    the share of the file, 0..1, that is behind each entry; nothing of a pipe.

    A list that breaks off is refined until there, see Refined.damage. Ctrl-C (KeyboardInterrupt)
    leaves what was refined until then, a list of its own, beside `out` with ".part" behind its
    name.
    Raises PoseError for files that cannot be read or written, a file that is no list, an `out` that
    is `results`, and skeletons without common names.
    """
    file = _File(refiner, pictures, skeleton, tell)
    results, out = Path(results), Path(out)
    part = out.with_name(out.name + ".part")
    _refuse(results, out, part)
    written, kept = 0, False
    try:
        with open(results, "rb") as source, open(part, "wb") as target:
            size = os.fstat(source.fileno()).st_size
            target.write(b"[")
            try:
                for end, entry in file.entries(source, results):
                    target.write((b",\n" if written else b"\n") + entry)
                    written += 1
                    if size:  # a pipe does not tell
                        seen(end / size)
            except KeyboardInterrupt:
                kept = written > 0
                tell(f"stopped: the first {written} entries are in {part}" if kept else "stopped")
                raise
            finally:
                target.write(b"\n]\n")
        os.replace(part, out)
    except OSError as error:
        raise PoseError(
            "results that can be read, and a path that can be written",
            f"{error.filename or out} ({error.strerror})",
            "Check the paths, and the room on the disk.",
        ) from error
    finally:
        if not kept:
            with contextlib.suppress(OSError):
                part.unlink()
    return file.counts


class _File:
    def __init__(self, refiner, pictures, skeleton, tell):
        self.counts = Refined()
        self._refiner, self._pictures, self._tell = refiner, pictures, tell
        own = refiner.skeleton
        theirs = own if skeleton is None else _skeleton(skeleton)
        pairs = [(i, own.index(name)) for i, name in enumerate(theirs.keypoints)]
        self._pairs = [(i, k) for i, k in pairs if k is not None]
        self._count = theirs.count
        if not self._pairs:
            raise PoseError(
                f"results with key points of the model's {own.name}",
                f"{theirs.name} with {', '.join(theirs.keypoints)}",
                "Name the results' skeleton, or take another model.",
            )

    def entries(self, source, name):
        """Where each entry ends in the file, and its bytes, refined where that can be."""
        try:
            for byte, raw in JsonList(source, name):
                where, end = f"entry {self.counts.entries} at byte {byte}", byte + len(raw)
                self.counts.entries += 1
                try:
                    raw = self._entry(raw, where)
                    self.counts.refined += 1
                except PoseError as error:
                    self._add(self.counts.kept, error.expected)
                    said = f"expected {error.expected}, received {error.received}"
                    self._tell(f"{where}: {said}; written as it was")
                yield end, raw
        except Damaged as error:
            self.counts.damage = error.received
            self._tell(f"cut or damaged: {error.received}. {error.advice}")

    def _entry(self, raw, where):
        entry = _parsed(raw)
        picture = entry["image_id"]
        points = coco_format.points(entry["keypoints"], self._count, f"picture {picture!r}, one")
        found = self._found(picture, points)
        values = list(entry["keypoints"])  # their own third numbers, whole ones as whole ones
        for theirs, own in self._pairs:
            values[3 * theirs : 3 * theirs + 2] = [round(float(v), _DIGITS) for v in found[own, :2]]
        for why in _strange(entry, points):
            self._add(self.counts.noted, why)
            self._tell(f"{where}: picture {picture!r}, refined, though {why}")
        return replaced(raw, "keypoints", json.dumps(values))

    def _found(self, picture, points):
        """(K, 3) of the model for points (R, 3) of a result."""
        theirs, own = np.transpose(self._pairs)
        pose = np.zeros((self._refiner.skeleton.count, 3), np.float32)
        with np.errstate(over="ignore"):
            pose[own] = points[theirs]
        if not known(pose).any():
            raise PoseError("key points that the model knows", f"picture {picture!r}, none", "")
        image = self._pictures(picture)
        if not np.isfinite(pose).all() or not _inside(self._refiner.crop(pose), image):
            raise PoseError("a pose inside its picture", f"picture {picture!r}, one outside", "")
        found = self._refiner(image, pose[None])[0]
        if not np.isfinite(found[own]).all():
            raise PoseError("an answer of the model", f"picture {picture!r}, no numbers", "")
        return found

    def _add(self, reasons, why):
        reasons.setdefault(why, [0, self.counts.entries - 1])[0] += 1


def _refuse(results, out, part):
    if out.exists() and not out.is_file():
        raise PoseError("a file to write", f"{out}, which is none", "Choose another path.")
    with contextlib.suppress(OSError):  # what is not there is not the results
        if any(path.exists() and path.samefile(results) for path in (out, part)):
            raise PoseError(
                "another file to write than the results",
                str(out),
                "Choose another path: results are never overwritten.",
            )


def _skeleton(named):
    if isinstance(named, str) and "," in named:
        return skeletons.Skeleton("results", tuple(name.strip() for name in named.split(",")))
    return skeletons.get(named)


def _parsed(raw):
    try:
        entry = json.loads(raw)
    except (ValueError, RecursionError) as error:  # bytes that are no UTF-8, numbers of any length
        raise PoseError("an entry as JSON in UTF-8", str(error), "") from error
    if not isinstance(entry, dict):
        raise PoseError("a result with keys", f"a {type(entry).__name__}", "")
    gone = [key for key in ("image_id", "keypoints") if entry.get(key) is None]
    if gone:
        raise PoseError("image_id and keypoints in a result", f"none of {', '.join(gone)}", "")
    return entry


def _inside(box, image):
    """Whether a crop shows anything of a picture."""
    return geometry.overlap(box, geometry.whole(image.shape[:2])) > 0


def _strange(entry, points):
    """What is odd about a result, though it does not keep it from being refined."""
    box, there = entry.get("bbox"), known(points)
    if not points[:, 2].any():
        yield "all scores are 0"
    if not np.ptp(points[there, :2], axis=0).any():
        yield "all key points lie in one place"
    if box and not (
        isinstance(box, list)
        and len(box) == 4
        and all(map(coco_format.finite, box))
        and min(box[2:]) > 0
    ):
        yield "its bbox has no area"
    if not coco_format.finite(entry.get("score")):
        yield "its score is no finite number"
