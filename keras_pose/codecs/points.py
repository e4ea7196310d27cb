"""The codec of networks that give a point and how sure they are of it."""

import dataclasses
from typing import ClassVar

from keras_pose.codecs import xp as shim
from keras_pose.codecs.coordinates import Located
from keras_pose.errors import PoseError


@dataclasses.dataclass(frozen=True)
class RefinedPoints(Located):
    """Points as stage 2 of Graph-PCNN gives them: (B, K, 3), x and y normalised to the crop, which
    may lie outside 0..1, and a score, 0..1.

    input_size: (H, W) pixels.
    """

    input_size: tuple[int, int]
    kind: ClassVar[str] = "points"
    called: ClassVar[str] = "refined points"
    head: ClassVar[str] = "points"

    def __post_init__(self):
        object.__setattr__(self, "input_size", tuple(int(v) for v in self.input_size))
        if len(self.input_size) != 2 or min(self.input_size) < 1:
            raise PoseError(
                "a positive input size, (H, W)", repr(self.input_size), "Write it like (256, 192)."
            )

    def head_shape(self, count: int) -> tuple[int, ...]:
        """Shape of the tensor that `decode` reads, without the batch."""
        return (count, 3)

    def decode(self, predicted):
        """Key points and scores. predicted: (B, K, 3); returns (B, K, 2) and (B, K), 0..1.

        Nothing is clipped to the crop: a point that stage 2 moved beyond its border stays there.
        """
        xp = shim.of(predicted)
        return predicted[..., :2], xp.clip(predicted[..., 2], 0.0, 1.0)
