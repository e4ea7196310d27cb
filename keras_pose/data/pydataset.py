"""Batches for `fit` on every Keras backend: threads, no TensorFlow."""

import keras

from keras_pose.data.batches import Loader


class _Epoch(keras.utils.PyDataset):
    def __init__(self, loader, epoch, start, workers):
        super().__init__(workers=workers, max_queue_size=2 * workers)
        self.loader, self.epoch, self.start = loader, epoch, start

    def __len__(self):
        return self.loader.steps - self.start

    def __getitem__(self, step):
        return self.loader.batch(self.epoch, self.start + step)


def epoch(loader: Loader, epoch: int, start: int = 0, workers: int = 2) -> keras.utils.PyDataset:
    """Steps start.. of one epoch as a PyDataset of (x, y), see Loader.batch.

    workers: threads (decoding and resampling leave Python, so threads suffice). Call `fit` with
    shuffle=False: the samples are shuffled already, and Keras would also shuffle the batches.
    """
    return _Epoch(loader, epoch, start, workers)
