"""Silence for libraries that write to the terminal from C++."""

import contextlib
import os
import sys
import tempfile
import warnings


@contextlib.contextmanager
def quiet():
    """Nothing reaches stdout or stderr in this block, not from native code either.

    Exceptions pass; what was said is then appended to them as a note.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    with tempfile.TemporaryFile() as heard, contextlib.ExitStack() as restore:
        for descriptor in (1, 2):
            saved = os.dup(descriptor)
            restore.callback(os.close, saved)
            restore.callback(os.dup2, saved, descriptor)
            os.dup2(heard.fileno(), descriptor)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                yield
            except Exception as error:
                heard.seek(0)
                error.add_note(heard.read().decode(errors="replace")[-4000:])
                raise
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
