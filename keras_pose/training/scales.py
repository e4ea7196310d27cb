"""The test at several scales: a crop is looked at larger and smaller, and the maps become one.

CPM's way of testing (its section 4.2): belief maps of seven scales around the given one are
averaged, "to handle the inaccuracy of the given scale estimation". It works on maps, so it serves
every network that predicts heatmaps.

Symbols: B pictures, K key points, H x W the network's input, h x w its maps, H' x W' the frame: a
picture around the crop with room for the smallest scale.
"""

import dataclasses
import math

import numpy as np

from keras_pose import geometry
from keras_pose.errors import PoseError
from keras_pose.runtime.crop import cut

SEVEN = (0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3)  # of CPM's test


def read(text):
    """Scales as one writes them, "0.7,1,1.3", as a tuple; () of an empty text.

    Raises PoseError for anything but positive numbers of which one is at most 1: above it a view
    does not show the whole crop.
    """
    try:
        scales = tuple(float(part) for part in text.split(",")) if text else ()
        good = not scales or (0.1 <= min(scales) <= 1 and max(scales) <= 10)
    except ValueError:
        good = False
    if not good:
        raise PoseError(
            "scales of 0.1 to 10, at least one of them at most 1",
            repr(text),
            f"Write {','.join(map(str, SEVEN))} for those of CPM's paper.",
        )
    return scales


def frame(input_size, crop_margin, scales):
    """(H', W') and the crop margin that show a person as before, with room around the crop.

    input_size: (H, W); crop_margin: of the crop that scale 1 shows. A pixel of the frame is as
    large as one of the crop, the aspect is the same, and the crop lies in the middle on whole
    pixels, so that scale 1 sees exactly what it sees alone.
    """
    height, width = input_size
    unit = math.gcd(height, width)
    room = math.ceil(unit * (1 / min((1.0, *scales)) - 1) / 2 - 1e-9)  # on each side, in units
    units = unit + 2 * room
    size = (height // unit * units, width // unit * units)
    return size, crop_margin * units / unit


def multiscale(look, codec, scales=SEVEN, fine=1):
    """A predictor that looks at a crop at several scales about its centre.

    look: pictures (B, H, W, 3) uint8 to maps (B, h, w, K); codec: of the maps. The predictor takes
    pictures (B, H', W', 3) of `frame` and gives key points (B, K, 2) in their pixels, and scores
    (B, K). Maps are resampled bicubically into the crop and averaged there over the scales that
    show a cell; those of a softmax are averaged as logarithms of densities.

    fine: how many times finer than the maps the average is. At 1 the codec decodes it, and scale 1
    alone gives the plain answer. CPM's own test is `fine` of the stride, the average on the crop's
    pixels, with the highest one as the answer: a codec with decoder="argmax".
    Raises PoseError for a codec that has no maps.
    """
    if codec.head != "heatmaps":
        raise PoseError(
            "a network that predicts heatmaps", f"one of {codec.head}", "Leave the scales out."
        )
    size, _ = frame(codec.input_size, 1.0, scales)
    h, w = codec.map_size
    finer = dataclasses.replace(codec, map_size=(fine * h, fine * w))
    ways = [[_resampling(n, s, fine, codec.unbiased) for n in codec.map_size] for s in scales]
    middle = (np.array(size) - codec.input_size)[::-1] / 2

    def predict(pictures):
        if pictures.shape[1:3] != size:
            raise PoseError(
                f"pictures of {size}, the frame of the scales",
                f"of {pictures.shape[1:3]}",
                "Cut them with the size and the margin of scales.frame.",
            )
        seen = []
        for scale in scales:
            views = [_view(picture, codec.input_size, scale) for picture in pictures]
            seen.append(_comparable(look(np.stack(views)), codec.kind, scale))
        # one picture at a time: on the crop's pixels the maps of a batch would be large
        found = [finer.decode(_average(maps, ways)[None]) for maps in zip(*seen, strict=True)]
        points, scores = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return geometry.denormalise(points, codec.input_size) + middle.astype(np.float32), scores

    return predict


def _view(picture, size, scale):
    """What the network sees at a scale: the middle of the frame, `scale` times as large."""
    high, wide = (side / scale for side in size)
    height, width = picture.shape[:2]
    box = ((width - wide) / 2 - 0.5, (height - high) / 2 - 0.5, wide, high)
    return cut(picture, box, size)[0]


def _comparable(maps, kind, scale):
    """Logits as logarithms of densities per area of the crop; other maps as they are."""
    if kind != "softmax":
        return maps
    top = maps.max(axis=(1, 2), keepdims=True)
    total = np.log(np.exp(maps - top).sum(axis=(1, 2), keepdims=True))
    return maps - top - total + 2 * np.log(scale, dtype=np.float32)


def _average(maps, ways):
    """The mean of a picture's maps over the scales, in the crop. maps: (h, w, K) of each scale."""
    total = count = 0.0
    for values, ((down, rows), (across, columns)) in zip(maps, ways, strict=True):
        there = np.einsum("yh,hwk->ywk", down, values)
        there = np.einsum("xw,ywk->yxk", across, there)
        shown = rows[:, None, None] * columns[:, None]
        total, count = total + there * shown, count + shown
    return total / count


def _resampling(cells, scale, fine, unbiased):
    """Along one axis: the weights (fine cells, cells) that read a scale's map at the crop's cells,
    and which of these the scale shows, 1 or 0.

    Keys' cubic (a = -1/2), which keeps the values where the cells are the same. A cell beyond the
    border repeats the last.
    """
    wanted = (np.arange(fine * cells) + 0.5) / fine - 0.5
    if unbiased:  # the outer cells' centres stay where they are, see keras_pose.codecs.heatmap
        wanted = np.linspace(0, cells - 1, fine * cells)
    places = (cells - 1) / 2 + scale * (wanted - (cells - 1) / 2)
    first = np.floor(places).astype(int)
    weights = np.zeros((len(places), cells), np.float32)
    for step in (-1, 0, 1, 2):
        away = np.abs(places - first - step)
        near = (1.5 * away - 2.5) * away**2 + 1
        far = ((-0.5 * away + 2.5) * away - 4) * away + 2
        value = np.where(away < 1, near, np.where(away < 2, far, 0.0))
        np.add.at(weights, (np.arange(len(places)), np.clip(first + step, 0, cells - 1)), value)
    shown = (places >= -0.5 - 1e-6) & (places <= cells - 0.5 + 1e-6)
    return weights, shown.astype(np.float32)
