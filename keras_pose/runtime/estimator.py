"""One person's pose from one crop, by a `.tflite` file that says itself how to be used."""

import numpy as np

from keras_pose import geometry
from keras_pose.results import Pose
from keras_pose.runtime.crop import cut
from keras_pose.runtime.model import PoseModel, check_image


class PoseEstimator(PoseModel):
    """A pose network in LiteRT, from pixels to key points.

    path: a `.tflite` written by keras_pose (decoded or heads; input float32 or uint8), or the
    name of a preset; threads: CPU threads of the interpreter.
    Symbols: K key points, H x W the network's input.
    Raises PoseError when the file is missing, damaged, without metadata, or contradicts it, and for
    one that refines poses.
    """

    reads = ("image",)
    advice = "A file that refines poses is opened with keras_pose.runtime.PoseRefiner."

    def __call__(self, image: np.ndarray, box=None) -> Pose:
        """The pose of the person in a box, in pixels of the picture.

        image: (h, w, 3) RGB uint8, any size; box: (x, y, w, h), grown to the input's aspect, with
        the margin already in it (geometry.crop_box), or None for the whole picture. The pose is
        the network's guess even where nobody is: compare its score with metadata.threshold.
        """
        check_image(image)
        box = geometry.whole(image.shape[:2]) if box is None else box
        box = geometry.crop_box(box, self.input_size, margin=1.0, smallest=1.0)
        patch, _ = cut(image, box, self.input_size)
        keypoints, scores = self._predict(patch)
        # from the crop's 0..1, in place: a box begins at the edge of its first pixel, where u is 0
        keypoints *= box[2:]
        keypoints += box[:2]
        return Pose(keypoints, scores, box)

    def predict_patch(self, patch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Key points (K, 2) float32 in pixels of the patch, and scores (K,) float32.

        patch: (H, W, 3) RGB uint8 of the network's input size.
        """
        self._check_patch(patch)
        keypoints, scores = self._predict(patch)
        return geometry.denormalise(keypoints, self.input_size), scores
