"""Writes a data set as one .pack file of JPEG patches; keras_pose.data.packed reads it.

What a patch shows: the person's box, grown about its centre by `margin` to a square and to every
visible key point, as far as the picture goes. Whatever turn or shift a crop takes, it finds the
picture there, and a crop without anyone has room beside the person. Nothing is stored beyond the
picture's border, where a crop is grey anyway.
"""

import contextlib
import dataclasses
import io
import json
import os
import zipfile
from pathlib import Path

import cv2
import numpy as np

from keras_pose import geometry
from keras_pose.data.open import open_reader
from keras_pose.data.packed import INDEX, SUFFIX, VERSION, entry
from keras_pose.data.sample import Sample
from keras_pose.errors import PoseError
from keras_pose.runtime.crop import cut

_WHOLE = "all"  # the folder of data that are not divided
_CROP = 1.25  # what every recipe grows a person by; a smaller patch would have grey in each crop


@dataclasses.dataclass
class Packed:
    """What was written.

    persons: {split: count}; skips: {split: what was left out of it, "" for nothing}; bytes: the
    file's size; divided: False when the same persons are in both splits, which are stored once.
    """

    persons: dict
    skips: dict
    bytes: int
    divided: bool


def pack(where, out, size=160, quality=80, margin=1.8, progress=None) -> Packed:
    """Writes what `open_reader(where)` finds as one file.

    out: FILE.pack, replaced in one go when everything is written. size: the longer side of a patch
    is at most so many pixels; smaller ones are not enlarged. quality: of the JPEGs. margin: how far
    the patch goes beyond the person's box. progress: wraps the list of samples of a folder,
    `progress(samples, folder)`, to show how far the work is.
    A picture that cannot be read and a person who is not in the picture are skipped and counted.
    Raises PoseError for settings out of range, a file that cannot be written, and what a reader
    refuses; nothing of an unfinished file is left.
    """
    out = Path(out)
    _check(out, size, quality, margin)
    readers = {split: open_reader(where, split) for split in ("train", "val")}
    train, val = readers.values()
    if train.skeleton != val.skeleton:
        raise PoseError(
            "the same skeleton in both splits",
            f"{train.skeleton.name} and {val.skeleton.name} in {where}",
            "Give both JSON files the same category.",
        )
    divided = _places(train) != _places(val)
    folders = {s: s if divided else _WHOLE for s in readers}
    part = out.with_name(out.name + ".part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(part, "w") as archive:
            counts = {}
            for split, folder in folders.items():
                if folder not in counts:
                    samples = readers[split].samples
                    shown = progress(samples, folder) if progress else samples
                    patches = _patches(readers[split], shown, size, margin)
                    counts[folder] = _write(archive, folder, patches, quality)
                    if not counts[folder]:
                        raise PoseError(
                            "at least one person with a readable picture",
                            f"{where}, split {split!r}:\n{readers[split].skips.summary()}",
                            "Check that the pictures are whole.",
                        )
            about = {
                "keras_pose_pack": VERSION,
                "source": Path(where).resolve().name,
                "settings": {"size": size, "quality": quality, "margin": margin},
                "splits": folders,
                "persons": counts,
                "skeleton": train.skeleton.to_dict(),
            }
            _store(archive, INDEX, json.dumps(about, indent=1).encode())
        os.replace(part, out)
    except OSError as error:
        raise PoseError(
            "a file that can be written, on a disk with room",
            f"{out} ({error.strerror})",
            "Choose another --out.",
        ) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink()
    return Packed(
        {s: counts[f] for s, f in folders.items()},
        {s: readers[s].skips.summary() for s in (readers if divided else ["train"])},
        out.stat().st_size,
        divided,
    )


def patch_of(image, sample: Sample, size, margin):
    """A person's patch, and the person in it.

    image: the sample's picture, (H, W, 3) uint8. Returns the patch, uint8 (h, w, 3), and the Sample
    in its pixels, or None for somebody who is not in the picture. Pictures that need not shrink
    are copied pixel by pixel; others shrink by the same factor along x and y.
    """
    x, y, w, h = geometry.crop_box(sample.box, (1, 1), margin)
    seen = sample.keypoints[sample.visible].astype(np.float64)
    low = np.minimum((x, y), seen.min(axis=0, initial=np.inf))
    high = np.maximum((x + w, y + h), seen.max(axis=0, initial=-np.inf))
    # whole pixels, the first and the one after the last
    low = np.maximum(np.floor(low + 0.5), 0)
    high = np.minimum(np.ceil(high + 0.5), image.shape[1::-1])
    if (high <= low).any():
        return None
    scale = min(1.0, size / (high - low).max())
    # what is lost of the shorter side is less than a pixel of the patch, and lies at its end: the
    # corner, where coordinates begin, stays exact
    sides = np.maximum(np.floor((high - low) * scale + 1e-6), 1)
    box = np.concatenate([low - 0.5, sides / scale])
    patch, matrix = cut(image, box, sides[::-1].astype(int))
    points = np.where(sample.visible[:, None], geometry.apply(matrix, sample.keypoints), 0.0)
    moved = dataclasses.replace(
        sample,
        keypoints=points.astype(np.float32),
        box=_moved(matrix, sample.box),
        people=_moved(matrix, sample.people),
        head=sample.head * float(matrix[0, 0]),
        others=_seen_from(matrix, sample.others),
        area=sample.area * float(matrix[0, 0] * matrix[1, 1]),
    )
    return patch, moved


def _moved(matrix, boxes):
    """Boxes (..., 4) under a map that only scales and shifts, in float64."""
    scale, shift = np.diag(matrix[:, :2]), matrix[:, 2]
    return np.concatenate([boxes[..., :2] * scale + shift, boxes[..., 2:] * scale], axis=-1)


def _seen_from(matrix, others):
    """Other persons (M, K, 3) under an affine map; what is not visible stays 0."""
    points, visible = others[..., :2], others[..., 2:]
    moved = np.where(visible > 0, geometry.apply(matrix, points), 0.0)
    return np.concatenate([moved, visible], axis=-1).astype(np.float32)


def _patches(reader, samples, size, margin):
    for sample in samples:
        try:
            found = patch_of(reader.image(sample), sample, size, margin)
        except PoseError as error:
            reader.skips.add(sample.name, f"unreadable picture, skipped: {error.expected}")
            continue
        if found is None:
            reader.skips.add(sample.name, "person outside the picture, skipped")
            continue
        yield found


def _write(archive, folder, patches, quality) -> int:
    """Writes one folder; returns how many persons it holds."""
    samples = []
    for patch, sample in patches:
        picture = cv2.cvtColor(patch, cv2.COLOR_RGB2BGR)
        jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        _store(archive, entry(folder, len(samples)), jpeg.tobytes())
        samples.append(sample)
    if samples:
        buffer = io.BytesIO()
        np.savez(
            buffer,
            keypoints=np.stack([s.keypoints for s in samples]),
            visible=np.stack([s.visible for s in samples]),
            boxes=np.stack([s.box for s in samples]),
            names=np.array([s.name for s in samples]),
            people=np.concatenate([s.people for s in samples]),
            crowd=np.array([len(s.people) for s in samples]),
            heads=np.array([s.head for s in samples]),
            others=np.concatenate([s.others.reshape(-1, len(s.keypoints), 3) for s in samples]),
            beside=np.array([len(s.others) for s in samples]),
            areas=np.array([s.area for s in samples]),
        )
        _store(archive, f"{folder}.npz", buffer.getvalue())
    return len(samples)


def _store(archive, name, content):
    about = zipfile.ZipInfo(name)  # a fixed date: the same data give the same bytes
    about.external_attr = 0o644 << 16
    archive.writestr(about, content)


def _places(reader):
    return [(str(s.source), s.name) for s in reader.samples]


def _check(out, size, quality, margin):
    if out.suffix.lower() != SUFFIX:
        raise PoseError(
            f"a file name that ends in {SUFFIX}",
            str(out),
            f"Write --out {out.stem or 'data'}{SUFFIX}: --data knows packed files by their ending.",
        )
    ranges = (("size", size, 16, 4096), ("quality", quality, 1, 100), ("margin", margin, _CROP, 10))
    for name, value, low, high in ranges:
        if not low <= value <= high:
            raise PoseError(f"{name} of {low} to {high}", repr(value), f"Change --{name}.")
