"""Errors that tell a user what was expected, what was received and what to do."""

import functools
import sys


class PoseError(ValueError):
    """A refusal in three parts.

    expected: what the code needs, as a noun phrase ("a joints.mat of shape (14, 3, N)").
    received: what came instead, naming the file, line or value.
    advice: what the reader can do about it, as a full sentence.
    """

    def __init__(self, expected: str, received: str, advice: str):
        self.expected, self.received, self.advice = expected, received, advice
        super().__init__(f"Expected {expected}. Received {received}. {advice}")


def command_line(main):
    """Decorates a script's `main`: a PoseError becomes three lines on stderr and exit status 2.

    Ctrl-C ends with one word and status 130, as in a shell.
    """

    @functools.wraps(main)
    def run(*args, **kwargs):
        try:
            return main(*args, **kwargs)
        except PoseError as error:
            print(
                f"error: expected {error.expected}\n"
                f"       received {error.received}\n"
                f"       {error.advice}",
                file=sys.stderr,
            )
            sys.exit(2)
        except KeyboardInterrupt:
            print("\ninterrupted", file=sys.stderr)
            sys.exit(130)

    return run
