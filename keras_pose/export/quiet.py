"""Silence for libraries that write to the terminal from Python and from C++."""

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
    with tempfile.TemporaryFile("w+", errors="replace") as heard, contextlib.ExitStack() as undo:
        for descriptor in (1, 2):
            saved = os.dup(descriptor)
            undo.callback(os.close, saved)
            undo.callback(os.dup2, saved, descriptor)
            os.dup2(heard.fileno(), descriptor)
        # in a notebook, Python's streams do not end in these descriptors
        undo.enter_context(contextlib.redirect_stdout(heard))
        undo.enter_context(contextlib.redirect_stderr(heard))
        undo.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        try:
            yield
        except Exception as error:
            heard.flush()
            heard.seek(0)
            error.add_note(heard.read()[-4000:])
            raise
