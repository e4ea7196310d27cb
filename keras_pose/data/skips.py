"""What was left out of a data set, and why: bad input is counted, it never kills a run."""

import threading
from collections import Counter


class SkipLog:
    """Counts what was skipped or masked, each place once however often it is met.

    Batches are prepared by several threads, so adding is locked.
    """

    def __init__(self):
        self.entries: dict[str, str] = {}
        self._lock = threading.Lock()

    def add(self, where, why: str):
        """where: the file, person or joint, as a reader would look for it; why: a short reason."""
        with self._lock:
            self.entries.setdefault(str(where), why)

    @property
    def count(self) -> int:
        return len(self.entries)

    def summary(self) -> str:
        """One line per reason, the commonest first, with one example; "" when nothing happened."""
        with self._lock:
            entries = list(self.entries.items())
        example = {}
        for where, why in entries:
            example.setdefault(why, where)
        tally = Counter(why for _, why in entries)
        return "\n".join(f"{n} x {why} (as {example[why]})" for why, n in tally.most_common())
