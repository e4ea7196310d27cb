"""Batches: patches, warps, colours and key points, from any reader, as a function of (epoch, step).

Nothing here remembers a position: batch `step` of `epoch` is the same whenever, wherever and by
however many threads it is asked for, so training resumes in the middle of an epoch.

Symbols: B batch, K key points, M other persons, P the patch's side, H x W the network's input.
"""

import math
import threading
from pathlib import Path

import cv2
import numpy as np

from keras_pose import geometry
from keras_pose.data import patches
from keras_pose.data.augment import Augment, Draw, draw
from keras_pose.data.pose_error_inputs import generators
from keras_pose.data.pose_scene import Scene, input_poses
from keras_pose.errors import PoseError
from keras_pose.runtime.crop import GREY, cut

_AS_IT_IS = Draw()
_SMALLER_IN_DECODER = {".jpg", ".jpeg"}


class Loader:
    """Cuts one patch per person and says how to warp it into the network's input.

    reader: LspReader, CocoReader, FigureReader, or anything with skeleton, samples, skips, image.
    input_size: (H, W). augment: None shows every crop as it is, in order, the last batch smaller;
    otherwise full batches only, shuffled. seed, shuffle: the order is a function of (seed, epoch).
    shard: (index, count), this process's share of each epoch. crop_margin: the person's extent is
    grown by it. patch: side P, by default what the largest rotation needs. reach: annotated key
    points count up to this share of the input beyond its border; 0 where predictions cannot leave
    the input, as those of maps. others: M, up to how many other persons a batch tells of. poses:
    draw an input pose for everybody, as networks that refine one learn from; intact: the chance
    that it is the truth, and errors: how likely they are in it, see pose_scene.input_poses;
    stand_in: (N, K, 3) a guess at all N samples, x and y in pixels of their pictures, and valid:
    what it is drawn from where the truth is not annotated.

    Raises PoseError when there are fewer samples than one batch holds, for a negative reach, and
    for a stand_in of another shape.
    """

    def __init__(
        self,
        reader,
        input_size,
        batch_size: int,
        augment: Augment | None = None,
        seed: int = 0,
        shuffle: bool = True,
        shard: tuple[int, int] = (0, 1),
        crop_margin: float = 1.25,
        patch: int | None = None,
        reach: float = 0.0,
        others: int = 0,
        poses: bool = False,
        intact: float = 0.0,
        errors: tuple = (),
        stand_in: np.ndarray | None = None,
    ):
        self.reader = reader
        self.input_size = tuple(int(v) for v in input_size)
        self.batch_size, self.augment, self.seed = batch_size, augment, seed
        self.shuffle, self.shard, self.crop_margin, self.reach = shuffle, shard, crop_margin, reach
        self.others, self.poses, self.intact, self.errors = others, poses, intact, errors
        self.stand_in = stand_in
        degrees = augment.rotate if augment else 0.0
        self.patch_size = patch or patches.patch_side(self.input_size, degrees)
        self._mirror = np.array(reader.skeleton.mirror)
        self._unreadable: set[int] = set()
        self._lock = threading.Lock()
        self._epoch, self._order = None, None
        # several batches are prepared at once: OpenCV's own threads would only fight over the cores
        cv2.setNumThreads(1)
        index, count = shard
        if not 0 <= index < count:
            raise PoseError(
                "shard as (index, count), 0 <= index < count", str(shard), "Count from 0."
            )
        if not 0 <= reach < math.inf:
            raise PoseError(
                "reach as a share of the input, from 0", repr(reach), "Write 0.25 for a quarter."
            )
        whole = (len(reader.samples), reader.skeleton.count, 3)
        if stand_in is not None and stand_in.shape != whole:
            raise PoseError(
                f"a stand_in of shape {whole}", f"{stand_in.shape}", "Give one pose per sample."
            )
        if self.steps == 0:
            raise PoseError(
                f"at least {batch_size if augment else 1} persons for one of {count} shards",
                f"{len(reader.samples)} persons",
                "Use more data or a smaller batch_size.",
            )

    @property
    def steps(self) -> int:
        """Batches in an epoch, the same for every shard while training."""
        index, count = self.shard
        total = len(self.reader.samples)
        if self.augment is None:
            return -(-len(range(index, total, count)) // self.batch_size)
        return total // count // self.batch_size

    @property
    def full(self) -> bool:
        """Whether every batch holds `batch_size` samples."""
        return self.augment is not None or len(self.order(0)) % self.batch_size == 0

    def order(self, epoch: int) -> np.ndarray:
        """The sample indices of this shard in an epoch: a function of (seed, epoch, shard)."""
        if self.augment is None or not self.shuffle:
            epoch = 0
        with self._lock:
            if self._epoch != epoch:
                total = len(self.reader.samples)
                order = np.arange(total)
                if self.augment is not None and self.shuffle:
                    order = np.random.default_rng((self.seed, epoch)).permutation(total)
                self._epoch, self._order = epoch, order[self.shard[0] :: self.shard[1]]
            return self._order

    def batch(self, epoch: int, step: int):
        """Batch `step` of `epoch` as (x, y), dicts of arrays.

        x: `patch` uint8 (B, P, P, 3); `matrix` float32 (B, 2, 3), INPUT pixel to PATCH pixel;
        `color` float32 (B, 2, 3), gain and offset per channel on 0..255. With poses also `pose`
        float32 (B, K, 3): x and y normalised in the INPUT, and 1, or three times 0.
        y: `keypoints` float32 (B, K, 2), normalised in the INPUT; `visible` float32 (B, K),
        annotated and inside the input or within `reach` of it; `person` float32 (B,), 0 for a crop
        without anyone. With others also `others` (B, M, K, 2) and `others_visible` (B, M, K), the
        same of the other persons in the crop, those first of whom most is seen.
        """
        if not 0 <= step < self.steps:
            raise PoseError(f"a step in 0..{self.steps - 1}", str(step), "Start the next epoch.")
        chosen = self.order(epoch)[step * self.batch_size : (step + 1) * self.batch_size]
        count, joints, side = len(chosen), self.reader.skeleton.count, self.patch_size
        x = {
            "patch": np.full((count, side, side, 3), GREY[0], np.uint8),
            "matrix": np.empty((count, 2, 3), np.float32),
            "color": np.empty((count, 2, 3), np.float32),
        }
        y = {
            "keypoints": np.zeros((count, joints, 2), np.float32),
            "visible": np.zeros((count, joints), np.float32),
            "person": np.empty(count, np.float32),
        }
        if self.others:
            y["others"] = np.zeros((count, self.others, joints, 2), np.float32)
            y["others_visible"] = np.zeros((count, self.others, joints), np.float32)
        scenes = [self._fill(x, y, row, int(index), epoch) for row, index in enumerate(chosen)]
        if self.poses:
            rngs = generators(self.seed, epoch, chosen)
            size = self.input_size
            x["pose"] = input_poses(
                scenes, self.reader.skeleton, rngs, size, self.intact, self.errors
            )
        return x, y

    def _fill(self, x, y, row, index, epoch):
        """Fills a row of a batch; returns what an input pose is drawn from, None without poses."""
        drawn = _AS_IT_IS
        if self.augment is not None:
            drawn = draw(self.augment, self.seed, epoch, index)
        index, view, image, factor = self._readable(index, drawn)
        sample = self.reader.samples[index]
        # without augmentation the input itself is cut, to the last bit what a runtime would see
        size = (self.patch_size,) * 2 if self.augment else self.input_size
        box, matrix, back = patches.frames(view, drawn, self.input_size, size)
        x["patch"][row, : size[0], : size[1]], _ = cut(image, patches.reduced(box, factor), size)
        x["matrix"][row] = matrix
        x["color"][row] = drawn.gain, drawn.offset
        y["person"][row] = view.person
        if not view.person:
            return Scene.empty(self.reader.skeleton.count) if self.poses else None
        to_input = geometry.compose(back, geometry.box_to_size(box, size))
        own = self._points(sample.keypoints, sample.visible, drawn, to_input)
        y["keypoints"][row], y["visible"][row] = own
        if not (self.others or self.poses):
            return None
        others = sample.others.reshape(-1, self.reader.skeleton.count, 3)
        beside = self._points(others[..., :2], others[..., 2] > 0, drawn, to_input)
        if self.others:
            self._fill_others(y, row, *beside)
        if not self.poses:
            return None
        guess = None
        if self.stand_in is not None:
            guess = self.stand_in[index]
            guess = self._points(guess[:, :2], guess[:, 2] > 0, drawn, to_input)
        return self._scene(sample, view.scale, own, beside, guess)

    def _fill_others(self, y, row, points, visible):
        most = np.argsort(-visible.sum(axis=1), kind="stable")[: self.others]
        y["others"][row, : len(most)] = points[most]
        y["others_visible"][row, : len(most)] = visible[most]

    def _scene(self, sample, scale, own, beside, guess):
        own, beside, guess = (
            None if part is None else _in_pixels(*part, self.input_size)
            for part in (own, beside, guess)
        )
        truth, visible = own[:, :2], own[:, 2]
        return Scene.seen(sample, scale, truth, visible, beside, self.input_size, guess)

    def _readable(self, index, drawn):
        """A sample's index, what is seen of it, its picture and how many times smaller that was
        read.

        A picture that cannot be read is counted once and replaced by the next that can, so that
        batches keep their shape and a rerun sees the same ones.
        """
        total = len(self.reader.samples)
        for i in ((index + step) % total for step in range(total)):
            if i in self._unreadable:
                continue
            sample = self.reader.samples[i]
            view = self._person_view(sample, drawn)
            factor = self._factor(sample, drawn, view)
            try:
                image = self.reader.image(sample, factor)
            except PoseError as error:
                self.reader.skips.add(
                    sample.name, f"unreadable picture, replaced: {error.expected}"
                )
                self._unreadable.add(i)
                continue
            if drawn.places is not None:
                size = np.array(image.shape[:2]) * factor
                empty = patches.background_view(
                    sample, drawn, self.input_size, self.crop_margin, size
                )
                view = view if empty is None else empty
            return i, view, image, factor
        raise PoseError(
            "at least one readable picture", f"{total} unreadable ones", "Check the data folder."
        )

    def _person_view(self, sample, drawn):
        shift = self.augment.shift if self.augment else 0.0
        return patches.person_view(
            sample, drawn, self.input_size, self.crop_margin, self.reader.skeleton, shift
        )

    def _factor(self, sample, drawn, view):
        # other formats are decoded whole and rounded to whole pixels: no time won, exactness lost
        if Path(str(sample.source)).suffix.lower() not in _SMALLER_IN_DECODER:
            return 1
        scale = view.scale
        if drawn.places is not None:
            largest = patches.largest_background(sample, self.input_size, self.crop_margin)
            scale = max(scale, largest)
        return patches.reduction(scale)

    def _points(self, keypoints, visible, drawn, to_input):
        """Key points (..., K, 2) normalised in the input, and which of them (..., K) are annotated
        and within reach."""
        points = geometry.normalise(geometry.apply(to_input, keypoints), self.input_size)
        low, high = -self.reach, 1 + self.reach
        visible = visible & (points >= low).all(axis=-1) & (points < high).all(axis=-1)
        points = np.where(visible[..., None], points, 0.0)
        if drawn.flip:
            points, visible = points[..., self._mirror, :], visible[..., self._mirror]
        return points, visible


def _in_pixels(points, visible, size):
    """(.., K, 3) of normalised points (.., K, 2) and whether they count."""
    return np.concatenate([geometry.denormalise(points, size), visible[..., None]], axis=-1)
