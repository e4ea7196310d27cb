"""Better poses from poses that are there already, by a `.tflite` file that reads both.

Moon, Chang and Lee, "PoseFix" (CVPR 2019): any estimator's answers become the input pose.
"""

import numpy as np

from keras_pose import geometry, metadata, presets
from keras_pose.errors import PoseError
from keras_pose.runtime.crop import cut
from keras_pose.runtime.estimator import PoseEstimator
from keras_pose.runtime.model import PoseModel, check_image

LEAST = 20.0  # px, a side of the box around a pose that has next to none


class PoseRefiner(PoseModel):
    """A network in LiteRT that is shown a picture and a pose, and finds a better one.

    path, threads: as of PoseEstimator. Symbols: N poses, K key points, H x W the network's input.
    Raises PoseError when the file is missing, damaged, without metadata, or contradicts it, and for
    one that reads a picture alone.
    """

    reads = ("image", "pose")
    advice = "A file that reads a picture alone is opened with keras_pose.runtime.PoseEstimator."

    def __call__(self, image: np.ndarray, poses) -> np.ndarray:
        """The poses refined: (N, K, 3) float32, x and y in pixels of the picture, and the score.

        image: (h, w, 3) RGB uint8, any size. poses: (N, K, 3), likewise; a key point that is
        0, 0, 0, or not finite, is one that the pose lacks. Any other is looked at, whatever its
        score. Each pose is refined in a crop around its own key points.

        Scores are those of the input, as in PoseFix's release: the network says where a key point
        is, not whether there is one, and files of results keep their ranking. What a pose lacked is
        found too, with score 0. A pose without any key point comes back unchanged.
        Raises PoseError for arrays of another shape.
        """
        check_image(image)
        poses = np.array(poses, np.float32)
        if poses.ndim != 3 or poses.shape[1:] != (self.skeleton.count, 3):
            raise PoseError(
                f"poses of shape (N, {self.skeleton.count}, 3), the key points of "
                f"{self.skeleton.name}",
                f"{poses.shape}",
                "Give x, y and score of every key point, 0, 0, 0 where there is none.",
            )
        for pose, there in zip(poses, known(poses), strict=True):
            if there.any():
                pose[:, :2] = self._refined(image, pose, there)
                pose[:, 2] = np.where(there, np.nan_to_num(pose[:, 2]), 0.0)
        return poses

    def predict_patch(self, patch: np.ndarray, pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Key points (K, 2) float32 in pixels of the patch, and the network's scores (K,) float32.

        patch: (H, W, 3) RGB uint8 of the network's input size. pose: (K, 3), as the network reads
        it: x and y normalised in the patch, and 1, or 0 where there is no key point.
        """
        self._check_patch(patch)
        keypoints, scores = self._predict(patch, pose=np.asarray(pose, np.float32))
        return geometry.denormalise(keypoints, self.input_size), scores

    def crop(self, pose) -> np.ndarray:
        """The box (x, y, w, h) that is looked at for a pose (K, 3) with at least one key point."""
        box = around(pose[known(pose), :2], self.metadata.grown)
        return geometry.crop_box(box, self.input_size, self.metadata.crop_margin)

    def _refined(self, image, pose, there):
        patch, matrix = cut(image, self.crop(pose), self.input_size)
        keypoints, _ = self._predict(patch, pose=shown(pose, there, matrix, self.input_size))
        found = geometry.denormalise(keypoints, self.input_size)
        return geometry.apply(geometry.invert(matrix), found)


def opened(path, threads=1) -> PoseEstimator | PoseRefiner:
    """A `.tflite` of either kind. Raises PoseError for one that is neither."""
    refines = "pose" in metadata.read(presets.resolve(path)).reads
    return (PoseRefiner if refines else PoseEstimator)(path, threads)


def known(poses) -> np.ndarray:
    """Which key points (..., K) of poses (..., K, 3) there are: x and y are finite, and not all
    three numbers 0."""
    return np.isfinite(poses[..., :2]).all(axis=-1) & (poses != 0).any(axis=-1)


def around(points, grown=metadata.GROWN) -> np.ndarray:
    """The box (x, y, w, h) of a person whose key points (n, 2), n > 0, an estimator has found.

    grown: its sides over those of the key points' extent, see metadata.Metadata.
    """
    x, y, w, h = geometry.extent(points)
    width, height = max(grown * w, LEAST), max(grown * h, LEAST)
    return np.array([x + w / 2 - width / 2, y + h / 2 - height / 2, width, height])


def shown(pose, there, matrix, size) -> np.ndarray:
    """A pose as a network reads it: (K, 3) float32, x and y normalised in the patch, and 1 or 0.

    pose: (K, 3) in pixels of the picture; there: (K,); matrix: (2, 3), picture to patch; size:
    (H, W) of the patch. Rows without a key point are 0.
    """
    points = geometry.apply(matrix, np.where(there[:, None], pose[:, :2], 0.0))
    points = np.where(there[:, None], geometry.normalise(points, size), 0.0)
    return np.column_stack([points, there]).astype(np.float32)
