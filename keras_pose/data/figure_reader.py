"""A data set of rendered figures with the interface of the readers of files.

Rendering costs as much as a small network's training step, so a picture is rendered once and kept
as a JPEG; it is always returned through that JPEG, so its first and later readings are the same.
"""

import cv2
import numpy as np

from keras_pose import geometry
from keras_pose.data.figures import SIZE, place, render
from keras_pose.data.sample import Sample
from keras_pose.data.skips import SkipLog
from keras_pose.errors import PoseError
from keras_pose.runtime.crop import REDUCED
from keras_pose.skeletons import LSP14

_SERIES = 2**32
_QUALITY = 92


class FigureReader:
    """`count` pictures of one person each, from series `seed`, rendered when first read.

    count: 1 to 2^32; seed: not negative; size: (H, W) of the pictures. Picture i of series s is
    `figures.render(s * 2^32 + i)`, so two series never share a picture, however long they are:
    take different seeds for training and validation. `source` of a sample is that number. All
    key points count as visible, as in LSP; hidden ones are where they are. What was read stays in
    memory, about 20 KiB a picture.
    """

    def __init__(self, count: int = 4000, seed: int = 0, size: tuple[int, int] = SIZE):
        if not (0 < count <= _SERIES and seed >= 0 and min(size) >= 16):
            raise PoseError(
                "1 to 2^32 figures, a seed of at least 0 and pictures of at least 16 x 16",
                f"count {count}, seed {seed}, size {size}",
                "Change the argument that is out of range.",
            )
        self.skeleton = LSP14
        self.skips = SkipLog()
        self.size = tuple(size)
        self.samples = [self._sample(seed, i) for i in range(count)]
        self._photographs = {}

    def _sample(self, seed, index):
        source = seed * _SERIES + index
        keypoints = place(source, self.size).keypoints
        visible = np.ones(len(keypoints), bool)
        box = geometry.extent(keypoints)
        return Sample(keypoints, visible, box, f"figure {seed}#{index}", source)

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index) -> Sample:
        return self.samples[index]

    def image(self, sample: Sample, reduce: int = 1) -> np.ndarray:
        """The sample's picture, RGB uint8 (H, W, 3), `reduce` times smaller (1, 2, 4, 8)."""
        photograph = self._photographs.get(sample.source)
        if photograph is None:
            picture = cv2.cvtColor(render(sample.source, self.size)[0], cv2.COLOR_RGB2BGR)
            photograph = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1]
            self._photographs[sample.source] = photograph
        return cv2.cvtColor(cv2.imdecode(photograph, REDUCED[reduce]), cv2.COLOR_BGR2RGB)
