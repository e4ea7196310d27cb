"""The codec of networks that regress: a key point is two numbers, and how far off they may be.

Symbols: B batch, K key points, H x W the network's input.
"""

import dataclasses
from typing import ClassVar

from keras_pose.codecs import xp as shim
from keras_pose.errors import PoseError

SCORES = ("laplace", "rle", "none")
_SMALLEST = 1e-6  # of a scale: at 0 the score would be divided by it


class Located:
    """What codecs of networks share that give locations, not maps."""

    kind: ClassVar[str]
    called: ClassVar[str]  # what an error calls it

    def to_dict(self) -> dict:
        return {"kind": self.kind, **dataclasses.asdict(self)}

    def with_decoder(self, decoder: str):
        """Refuses: there is one way to read two numbers. Raises PoseError."""
        raise PoseError(
            "a network of heatmaps, which can be decoded in several ways",
            f"one of {self.called}, and the decoder {decoder!r}",
            "Leave the decoder out, or look at an output of maps, where the network has one.",
        )

    def encode(self, keypoints, visible):
        """Training targets: the key points, (B, K, 2) normalised, as they are.

        Those that are not visible have no target; the loss leaves them out.
        """
        return shim.of(keypoints).array(keypoints)


@dataclasses.dataclass(frozen=True)
class Coordinates(Located):
    """Locations and scales as they come out of the network (Poseur section 3).

    The network's tensor is (B, K, 4): x and y normalised to the crop, which may lie outside 0..1
    where a person is cut off by it, and the scales of x and y, 0..1 in the same unit.

    input_size: (H, W) pixels. score: what a key point's score is made of, the product over both
    axes of equation 8, 1 - exp(-area / scale), for "laplace"; 1 minus the mean scale for "rle";
    1 for "none". area: half the side of the square around the prediction whose probability under
    the Laplace distribution equation 8 gives, in units of the crop.
    """

    input_size: tuple[int, int]
    score: str = "laplace"
    area: float = 0.2
    kind: ClassVar[str] = "coordinates"
    called: ClassVar[str] = "coordinates"
    head: ClassVar[str] = "coordinates"

    def __post_init__(self):
        object.__setattr__(self, "input_size", tuple(int(v) for v in self.input_size))
        if min(self.input_size) < 1 or self.score not in SCORES or not self.area > 0:
            raise PoseError(
                f"a score among {SCORES} and a positive input size and area",
                f"input_size={self.input_size}, score={self.score!r}, area={self.area}",
                "Leave out score and area for the paper's.",
            )

    def head_shape(self, count: int) -> tuple[int, ...]:
        """Shape of the tensor that `decode` reads, without the batch."""
        return (count, 4)

    def decode(self, predicted):
        """Key points and scores. predicted: (B, K, 4); returns (B, K, 2) and (B, K), 0..1.

        Nothing is clipped to the crop: a point beyond its border stays there.
        """
        xp = shim.of(predicted)
        return predicted[..., :2], self._score(xp, predicted[..., 2], predicted[..., 3])

    def _score(self, xp, across, down):
        """(B, K) from the scales of x and y, of which a quantized network may miss 0..1."""
        if self.score == "laplace":
            return self._inside(xp, across) * self._inside(xp, down)
        if self.score == "rle":
            return xp.clip(1.0 - 0.5 * (across + down), 0.0, 1.0)
        return xp.clip(across, 1.0, 1.0)

    def _inside(self, xp, scale):
        """Equation 8 for one axis."""
        return 1.0 - xp.exp(-self.area / xp.maximum(scale, _SMALLEST))
