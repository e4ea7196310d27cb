"""What a run leaves for people: a CSV log, a learning curve and TensorBoard events."""

import csv
import os
import time
from pathlib import Path


class History:
    """One row per epoch, in memory and in `out`/log.csv.

    rows: earlier rows of a resumed run; the file is rewritten from them.
    """

    def __init__(self, out, rows=()):
        self.out, self.rows = Path(out), list(rows)
        self._board = _board(self.out)
        self._histograms = None

    @property
    def has_board(self) -> bool:
        """Whether TensorBoard events are written."""
        return self._board is not None

    def add(self, row: dict):
        """row: `epoch`, `step`, `loss` and numbers, None for none; every time the same keys."""
        self.rows.append(row)
        self._write()
        if self._board is not None:
            for key, value in row.items():
                if key not in ("epoch", "step") and value is not None:
                    self._board.add_scalar(key, float(value), int(row["step"]))
            self._board.flush()

    def add_histograms(self, values: dict, step):
        """TensorBoard histograms. values: tag to (n,) numbers, none where n is 0."""
        if not self.has_board:
            return
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.plugins.histogram.summary_v2 import histogram_pb
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        if self._histograms is None:
            self._histograms = EventFileWriter(str(self.out / "tensorboard"))
        for tag, numbers in values.items():
            if len(numbers):
                event = Event(wall_time=time.time(), step=step, summary=histogram_pb(tag, numbers))
                self._histograms.add_event(event)
        self._histograms.flush()

    def _write(self):
        part = self.out / "log.csv.part"
        with open(part, "w", newline="") as file:
            writer = csv.DictWriter(file, list(self.rows[0]))
            writer.writeheader()
            writer.writerows(self.rows)
        os.replace(part, self.out / "log.csv")

    def curve(self):
        """Draws `out`/curve.png: the training loss, and the validation metrics in percent."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        if not self.rows:
            return
        figure = Figure(figsize=(7, 4), layout="constrained")
        FigureCanvasAgg(figure)
        left = figure.add_subplot(xlabel="epoch", ylabel="training loss")
        right = left.twinx()
        right.set_ylabel("validation, %")
        right.set_ylim(0, 100)
        epochs = [row["epoch"] for row in self.rows]
        lines = left.plot(epochs, [row["loss"] for row in self.rows], "C7.-", label="loss")
        for color, key in enumerate(k for k in self.rows[0] if k.startswith("pck")):
            lines += right.plot(epochs, [r[key] for r in self.rows], f"C{color}.-", label=key)
        left.legend(lines, [line.get_label() for line in lines], loc="center right")
        left.grid(alpha=0.3)
        figure.savefig(self.out / "curve.png", dpi=120)


def _board(out):
    try:
        from tensorboard.summary import Writer
    except ImportError:
        print("tensorboard is not installed: no events are written (pip install tensorboard)")
        return None
    return Writer(str(out / "tensorboard"))
