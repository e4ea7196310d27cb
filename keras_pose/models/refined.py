"""What a network that refines poses is taught.

Symbols: B batch, K key points, h x w the map's size.
"""

import math

import keras
from keras import ops

from keras_pose import losses
from keras_pose.errors import PoseError
from keras_pose.layers import SoftArgmax
from keras_pose.layers.guided import to_cells


class IntegralLoss(keras.layers.Layer):
    """PoseFix's cross-entropy-based integral loss (Moon et al., 2019, equations 3 to 5).

    L = heat L_H + place L_C, of the one prediction that the codec decodes, logits (B, h, w, K). L_H
    is the cross-entropy with the codec's target; L_C the distance between the soft-argmax and the
    truth in cells, summed over a key point's x and y, and halved: as released, the mean over the
    two axes. Both are averaged over a person's known key points, then over the batch (the release
    divides by all K). In a crop without anyone L_H asks for flat maps, and nothing is placed.

    codec: IntegralHeatmap; heat, place: how much each term counts, 0 to leave it out.
    Raises PoseError for numbers below 0, and where nothing would be taught.
    """

    def __init__(self, codec, heat=1.0, place=1.0):
        super().__init__(dtype="float32")
        if not (heat + place > 0 and min(heat, place) >= 0 and math.isfinite(heat + place)):
            raise PoseError(
                "heat and place from 0, one of them above", f"{heat} and {place}", "Take 1 and 1."
            )
        self.codec, self.heat, self.place = codec, heat, place
        self.maps, self.mean = losses.Maps(codec), SoftArgmax(dtype="float32")

    def build(self, predictions_shape):
        """predictions_shape: name to shape of what will be compared."""
        for part in (self.maps, self.mean):
            part.build(predictions_shape)

    def call(self, predictions, y):
        total = 0.0
        if self.heat:
            total = self.heat * self.maps(predictions, y)
        if self.place:
            known = losses.on_maps(y)
            apart = self.apart(predictions[self.codec.head], y["keypoints"], known)
            total = total + self.place * losses.mean_over_annotated(apart / 2, known)
        return total

    def apart(self, logits, truth, known):
        """(B, K): the distances along x and y in cells, added up; 0 where nothing is known."""
        size = self.codec.map_size[::-1]
        found = self.mean(logits) * ops.cast(size, "float32") - 0.5
        # not a product: the coordinates of what is not known may be anything
        away = ops.where(known[..., None] > 0, found - to_cells(self.codec, truth), 0.0)
        return ops.sum(ops.abs(away), axis=-1)
