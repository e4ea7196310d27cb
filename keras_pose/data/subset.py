"""Some of a reader's persons, evenly spread, behind the same interface."""

import numpy as np


class Subset:
    """At most `limit` persons of `reader`, all of them when 0. places: theirs in the reader."""

    def __init__(self, reader, limit=0):
        count = len(reader)
        chosen = np.arange(count)
        if 0 < limit < count:
            chosen = np.linspace(0, count - 1, limit).round().astype(int)
        self.reader, self.places = reader, chosen
        self.skeleton, self.skips = reader.skeleton, reader.skips
        self.samples = [reader[int(i)] for i in chosen]

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        return self.samples[index]

    def image(self, sample, reduce=1):
        return self.reader.image(sample, reduce)
