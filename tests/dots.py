"""Pictures on which every joint is a painted dot, so that a label can be checked by looking."""

from pathlib import Path

import cv2
import numpy as np

from keras_pose import geometry
from keras_pose.data.sample import Sample
from keras_pose.data.skips import SkipLog
from keras_pose.errors import PoseError
from keras_pose.skeletons import LSP14

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)  # right, left, middle of the body


def color(k):
    side = LSP14.keypoints[k].split("_")[0]
    return {"right": RED, "left": GREEN}.get(side, BLUE)


class DotsReader:
    """`count` people of 14 scattered dots on black; pictures in `broken` cannot be read.

    region: (H, W), the upper left part of a picture of `size` in which the dots are.
    """

    skeleton = LSP14

    def __init__(self, count, size=(300, 340), seed=0, broken=(), region=None):
        rng = np.random.default_rng(seed)
        self.size, self.broken, self.skips, self.reads = size, set(broken), SkipLog(), 0
        self.samples = []
        for n in range(count):
            high, wide = region or size
            spots = [(x, y) for x in range(60, wide - 60, 40) for y in range(60, high - 60, 40)]
            chosen = rng.permutation(len(spots))[:14]
            points = (np.array(spots)[chosen] + rng.uniform(-6, 6, (14, 2))).astype(np.float32)
            visible = rng.random(14) < 0.9
            box = geometry.extent(points, visible)
            self.samples.append(Sample(points, visible, box, f"dots{n}#0", n))

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        return self.samples[index]

    def image(self, sample, reduce=1):
        assert reduce == 1, "rendered pictures have one size"
        self.reads += 1
        if sample.source in self.broken:
            raise PoseError("a picture", sample.name, "Draw it again.")
        image = np.zeros((*self.size, 3))
        for k, point in enumerate(sample.keypoints):
            left, top = np.maximum(np.rint(point).astype(int) - 12, 0)
            area = image[top : top + 25, left : left + 25]
            y, x = np.mgrid[top : top + area.shape[0], left : left + area.shape[1]]
            spot = np.exp(-((x - point[0]) ** 2 + (y - point[1]) ** 2) / (2 * 3.0**2))
            area += spot[..., None] * np.array(color(k))
        return image.clip(0, 255).astype(np.uint8)


def write(reader, folder: Path, suffix=".png", layout=(14, 3)):
    """The same pictures as an LSP folder; returns it."""
    from scipy.io import savemat

    (folder / "images").mkdir(parents=True, exist_ok=True)
    for n, sample in enumerate(reader.samples):
        path = folder / "images" / f"im{n + 1:05d}{suffix}"
        cv2.imwrite(str(path), cv2.cvtColor(reader.image(sample), cv2.COLOR_RGB2BGR))
    joints = np.stack(
        [np.column_stack([s.keypoints + 1.0, s.visible]) for s in reader.samples], axis=-1
    )
    savemat(
        folder / "joints.mat", {"joints": joints if layout == (14, 3) else joints.swapaxes(0, 1)}
    )
    return folder
