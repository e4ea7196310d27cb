"""The codec of networks that are taught a single cell and read as the mean of their distribution.

Symbols: B batch, K key points, h x w the map's size, H x W the network's input.
"""

import dataclasses
from typing import ClassVar

import numpy as np

from keras_pose.codecs import xp as shim
from keras_pose.codecs.heatmap import SoftmaxHeatmap
from keras_pose.errors import PoseError


@dataclasses.dataclass(frozen=True)
class IntegralHeatmap(SoftmaxHeatmap):
    """Logits over the cells, whose target is a one-hot map that is split linearly.

    PoseFix (Moon et al., 2019, equation 4): a key point between cells shares itself among the four
    around it, along each axis by how near they are, so that the mean of the target is the key point
    itself; soft-argmax, the default decoder, gives it back. Points beyond the outer cells' centres
    count as lying there. Maps ask for nothing, and score, as those of SoftmaxHeatmap do: a key
    point's score is the probability inside the 3 x 3 window.

    input_size, map_size, decoder, unbiased: as of the other heatmaps. corner: cell g lies at pixel
    g W / w, as released for PoseFix (x4 there), and not in the middle of its pixels: mirrored maps
    then show points W / w - 1 pixels off.

    Raises PoseError for maps below 3 x 3 cells, and for two geometries at once.
    """

    # narrower than any cell: nothing to blur with, and a perfect map lies inside the window
    sigma: float = dataclasses.field(default=0.1, init=False)
    decoder: str = "soft"
    corner: bool = False
    kind: ClassVar[str] = "integral"

    def __post_init__(self):
        super().__post_init__()
        if self.corner and self.unbiased:
            raise PoseError(
                "one geometry", "unbiased=True and corner=True", "Leave one of them out."
            )

    def encode(self, keypoints, visible):
        """Training targets. keypoints: (B, K, 2) normalised; visible: (B, K) in {0, 1}.

        Returns (B, h, w, K) float32, each map summing to 1; uniform where a key point is not
        visible or lies beyond the picture.
        """
        xp, (h, w) = shim.of(keypoints), self.map_size
        keypoints = xp.array(keypoints)
        beyond = xp.maximum(keypoints - 1.0, -keypoints)
        shown = xp.where(xp.maximum(beyond[..., 0], beyond[..., 1]) > 0.0, 0.0, xp.array(visible))
        shown = xp.expand_dims(shown, -1)
        # the coordinates of what is not visible may be anything
        keypoints = xp.where(shown > 0.0, keypoints, 0.5)
        (scale_x, scale_y), (start_x, start_y) = self.axes
        across = _split(xp, keypoints[..., 0:1] * scale_x + start_x, w)
        down = _split(xp, keypoints[..., 1:2] * scale_y + start_y, h)
        maps = xp.expand_dims(down, -1) * xp.expand_dims(across, -2)
        shown = xp.expand_dims(shown, -1)
        return xp.transpose(maps * shown + (1.0 - shown) / (h * w), (0, 2, 3, 1))

    @property
    def axes(self):
        if not self.corner:
            return super().axes
        pixels = np.array(self.input_size[::-1], np.float32)[:, None]
        scale = np.array(self.map_size[::-1], np.float32)[:, None]
        return scale, -0.5 * scale / pixels  # a pixel's middle is at its whole number


def _split(xp, place, cells):
    """Places (B, K, 1) in cells to the shares of all cells along an axis, (B, K, cells)."""
    place = xp.minimum(xp.maximum(place, 0.0), cells - 1.0)
    apart = np.arange(cells, dtype=np.float32) - place
    return xp.maximum(1.0 - xp.maximum(apart, -apart), 0.0)
