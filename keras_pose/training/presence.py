"""Does a network know when nobody is there? Scores of crops with and without a person."""

from keras_pose import metrics
from keras_pose.data.augment import Augment
from keras_pose.data.subset import Subset
from keras_pose.training.looking import BATCH, Refining

_SMALLEST = 0.4  # of the crop, that a person takes at least
_CLOSE = (0.8, 1.0)  # zoom of the crops that choose the threshold


def measure_presence(predict, reader, input_size, crop_margin=1.25, limit=0, seed=0):
    """(AUC, best threshold) of the person score, see metrics.presence.

    The AUC is of crops with a person, who takes from 0.4 of the crop to what `crop_margin` leaves,
    against crops of the same pictures without anyone. The threshold is that of crops closely
    around the person, which is what a tracker decides on. Both are NaN where no picture has room
    for a crop without anyone, and for what refines poses, which is told who is there. limit: at
    most so many persons, evenly spread, 0 for all.
    """
    if isinstance(predict, Refining):
        return float("nan"), float("nan")
    reader = Subset(reader, limit)

    def scores(scale, shift, background):
        augment = Augment(
            scale, rotate=0.0, shift=shift, flip=0.0, color=0.0, background=background
        )
        return _person_scores(predict, reader, input_size, crop_margin, augment, seed)

    zoomed_out = (_SMALLEST * crop_margin, 1.0)
    present = scores(zoomed_out, 0.1, 0.0)
    absent = scores(zoomed_out, 0.1, 1.0)
    if not absent:
        return float("nan"), float("nan")
    close = scores(_CLOSE, 0.0, 0.0)
    return metrics.auc(present, absent), metrics.threshold(close, absent)


def _person_scores(predict, reader, input_size, crop_margin, augment, seed):
    """Scores of one crop per person, or of those without anyone where `augment` asks for them."""
    from keras_pose.data import sheet
    from keras_pose.data.batches import Loader

    loader = Loader(
        reader, input_size, _divisor(len(reader)), augment=augment, seed=seed, shuffle=False,
        crop_margin=crop_margin,
    )  # fmt: skip
    scores = []
    for step in range(loader.steps):
        x, y = loader.batch(0, step)
        # a picture without free background gives a person's crop instead
        wanted = y["person"] == (augment.background == 0)
        if wanted.any():
            scores += predict(sheet.inputs(x, input_size)[wanted])[1].mean(axis=1).tolist()
    return scores


def _divisor(count):
    """The largest batch size up to BATCH that leaves no person over."""
    return max(size for size in range(1, BATCH + 1) if count % size == 0)
