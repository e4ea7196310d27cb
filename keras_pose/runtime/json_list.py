"""A JSON list in a file of any size, entry by entry, each as it is written there.

The file is read once and never held: a list may be longer than the memory. Its structure is ASCII,
so it is searched as Latin-1, where a character is a byte: positions are those of the file, and what
an entry is copied from comes out byte by byte, whatever its text means.
"""

import json
import re

from keras_pose.errors import PoseError

CHUNK = 1 << 20  # bytes that are read at a time
LONGEST = 1 << 24  # bytes of an entry; what is longer lacks a quote or a bracket
_BYTES = "latin-1"
_MARK = "\xef\xbb\xbf"  # some editors begin UTF-8 with it
_SPACE = re.compile(r"[ \t\n\r]*")
_SEARCH = json.JSONDecoder(parse_float=str, parse_int=str)  # values are looked at by who asks


class Damaged(PoseError):
    """A JSON list that is cut short, or goes on with what is no JSON."""


class JsonList:
    """The entries of a JSON list, in order: iterate over it once, for (byte, entry).

    file: open for reading bytes. name: what errors call it. byte: where the entry begins. entry:
    its bytes; they are JSON in all but, maybe, the encoding and the size of its numbers.

    Raises PoseError for what is no list at all, and Damaged behind the last whole entry of a list
    that ends early, is broken there, or has something behind its end.
    """

    def __init__(self, file, name):
        self._file, self._name = file, name
        self._text, self._at = "", 0  # what has been read and not been given, from a place in it
        self._first = 0  # the byte in the file where that text begins
        self._count = 0

    def __iter__(self):
        self._begin()
        separator = "["
        while separator != "]":
            self._at += 1
            if separator == "[" and self._next() == "]":
                break
            self._next()
            start = self._first + self._at
            entry = self._entry()
            yield start, entry.encode(_BYTES)
            self._count += 1
            separator = self._next()
            if separator not in (",", "]"):
                raise self._damage("no comma and no ]", self._first + self._at)
        self._at += 1
        if self._next():
            raise self._damage("text behind the list's end", self._first + self._at)

    def _begin(self):
        self._more()
        if self._text.startswith(_MARK):
            self._at = len(_MARK)
        if self._next() != "[":
            start = self._text[self._at : self._at + 20]
            raise PoseError(
                "a list of results, as COCO's format has it",
                f"{self._name}, which is empty"
                if not start
                else f"{self._name}, which begins with {start!r}",
                'Write [{"image_id": .., "category_id": .., "keypoints": [..], "score": ..}, ..].',
            )

    def _entry(self):
        """The text of the value that begins here."""
        while True:
            problem = where = None
            try:
                end = _SEARCH.raw_decode(self._text, self._at)[1]
            except json.JSONDecodeError as error:
                problem, where = error.msg, self._first + error.pos
            except RecursionError:
                problem, where = "nested too deeply", self._first + self._at
            if problem is None and end < len(self._text):
                break
            if len(self._text) - self._at > LONGEST or not self._more():
                if problem is None:
                    break
                raise self._damage(problem, where, self._first + self._at)
        text, self._at = self._text[self._at : end], end
        return text

    def _next(self):
        """The next character that is no space, "" where the file ends."""
        while True:
            self._at = _SPACE.match(self._text, self._at).end()
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def _more(self):
        """Reads on, as much again as is held, so that a long entry is not searched too often."""
        held = self._text[self._at :]
        content = self._file.read(max(CHUNK, len(held)))
        if content:
            self._first += self._at
            self._text, self._at = held + content.decode(_BYTES), 0
        return bool(content)

    def _damage(self, problem, where, start=None):
        ends = "" if self._first + len(self._text) > where or self._more() else ", the file's end"
        begun = "" if start is None else f", which begins at byte {start}"
        return Damaged(
            "a JSON list that is whole",
            f"{self._name}: {problem} at byte {where}{ends}; entry {self._count}{begun}",
            "The file was cut short or damaged there: write it again. Nothing behind it was read.",
        )


def replaced(entry: bytes, key: str, value: str) -> bytes:
    """A JSON object's bytes with another value, JSON too, at a key that it has.

    Every other byte stays. Of a key that is there twice the last counts, as when it is parsed.
    """
    text, at, place = entry.decode(_BYTES), 1, None
    while text[at - 1] != "}":
        name, end = _SEARCH.raw_decode(text, _SPACE.match(text, at).end())
        colon = _SPACE.match(text, end).end()
        start = _SPACE.match(text, colon + 1).end()
        end = _SEARCH.raw_decode(text, start)[1]
        if name == key:
            place = slice(start, end)
        at = _SPACE.match(text, end).end() + 1  # behind a comma, or the last bracket
    return (text[: place.start] + value + text[place.stop :]).encode(_BYTES)
