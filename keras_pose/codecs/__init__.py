"""Codecs: one object per representation, from key points to targets and from outputs back.

A codec names the one tensor that it decodes: `head`, of `head_shape(K)` without the batch.
"""

from keras_pose.codecs.coordinates import Coordinates
from keras_pose.codecs.heatmap import GaussianHeatmap, Heatmap, SoftmaxHeatmap
from keras_pose.codecs.integral import IntegralHeatmap
from keras_pose.codecs.points import RefinedPoints
from keras_pose.errors import PoseError

_ALL = (GaussianHeatmap, SoftmaxHeatmap, IntegralHeatmap, Coordinates, RefinedPoints)
CODECS = {c.kind: c for c in _ALL}
Codec = Heatmap | Coordinates | RefinedPoints


def from_dict(values: dict) -> Codec:
    """The codec that `codec.to_dict()` described.

    Raises PoseError for an unknown kind, as in a file written by a newer version.
    """
    values = dict(values)
    kind = values.pop("kind", None)
    if kind not in CODECS:
        raise PoseError(
            f"a codec kind among {sorted(CODECS)}",
            repr(kind),
            "Update keras_pose to read this file.",
        )
    return CODECS[kind](**values)


def get(codec) -> Codec:
    """A codec, or what `from_dict` makes of its description."""
    return from_dict(codec) if isinstance(codec, dict) else codec
