"""JSON lists read entry by entry: what comes out is what is there, and a break has its place."""

import io
import json
import tracemalloc

import numpy as np
import pytest

from keras_pose.errors import PoseError
from keras_pose.runtime import json_list
from keras_pose.runtime.json_list import Damaged, JsonList, replaced

ENTRIES = [
    {"a": [1, 2.50, -3e-4], "b": 'x, ]} \\" ö ☃', "c": None},
    {"d": {"e": [[], {}]}, "f": True},
    12,
    "text",
    [1, [2]],
    {},
]


def read(text, name="in.json"):
    content = text.encode() if isinstance(text, str) else text
    return list(JsonList(io.BytesIO(content), name))


def until(text):
    """The entries before the damage, and what is said of it."""
    found, content = [], text.encode() if isinstance(text, str) else text
    with pytest.raises(Damaged) as error:
        found.extend(JsonList(io.BytesIO(content), "in.json"))
    return [json.loads(raw) for _, raw in found], error.value.received


@pytest.mark.parametrize("chunk", [1, 2, 7, 1 << 20])
@pytest.mark.parametrize("indent", [None, 0, 3])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_entries_and_their_bytes_are_those_of_the_file(monkeypatch, chunk, indent, ascii_only):
    """Wherever a chunk ends: inside a string, a number, or a letter of two bytes."""
    monkeypatch.setattr(json_list, "CHUNK", chunk)
    text = "\n " + json.dumps(ENTRIES, indent=indent, ensure_ascii=ascii_only) + " \r\n"
    content = text.encode()
    found = read(content)
    assert [json.loads(raw) for _, raw in found] == ENTRIES
    assert all(content[byte : byte + len(raw)] == raw for byte, raw in found)


@pytest.mark.parametrize("text", ["[]", " [ \n ] ", "\ufeff[]"])
def test_a_list_may_be_empty(text):
    assert read(text) == []


def test_a_mark_of_utf8_counts_as_its_bytes():
    assert read("\ufeff[7]") == [(4, b"7")]


@pytest.mark.parametrize("chunk", [1, 1 << 20])
@pytest.mark.parametrize("end", range(1, 40))
def test_a_list_cut_anywhere_gives_what_is_whole(monkeypatch, chunk, end):
    monkeypatch.setattr(json_list, "CHUNK", chunk)
    whole = '[{"a": "é1"}, {"b": [1, 2]}, {"c": true}]'.encode()
    places = [(1, 13), (15, 28), (30, 41)]
    assert [(byte, byte + len(raw)) for byte, raw in read(whole)] == places
    found, said = until(whole[:end])
    assert len(found) == sum(stop <= end for _, stop in places)
    assert said.startswith("in.json: ") and f"entry {len(found)}" in said
    started = [start for start, stop in places if start < end < stop]
    assert not started or f"begins at byte {started[0]}" in said


@pytest.mark.parametrize(
    ("text", "count", "said"),
    [
        ('[{"a": 1} {"b": 2}]', 1, "no comma and no ] at byte 10; entry 1"),
        ('[{"a": 1}, {"b" 2}, {}]', 1, "Expecting ':' delimiter at byte 16; entry 1, which begins"),
        ("[1, [2]", 2, "at byte 7, the file's end"),
        ("[1,]", 1, "Expecting value at byte 3"),
        ('["a', 0, "starting at at byte 1"),
        ("[1] 2", 1, "text behind the list's end at byte 4"),
        ("[1", 1, "no comma and no ] at byte 2, the file's end; entry 1"),
        ("[1, ", 1, "Expecting value at byte 4, the file's end"),
        ("[" + "[" * 100000, 0, "nested too deeply"),
    ],
    ids=lambda v: v[:12] if isinstance(v, str) else None,
)
def test_damage_has_its_byte(text, count, said):
    found, received = until(text)
    assert len(found) == count and said in received


@pytest.mark.parametrize("text", ["", "  \n", '{"annotations": []}', "17", "\x00"])
def test_what_is_no_list_is_refused(text):
    with pytest.raises(PoseError, match="a list of results") as error:
        read(text)
    assert not isinstance(error.value, Damaged) and "in.json" in error.value.received


def test_the_memory_is_bounded(monkeypatch):
    """A list of 40 times the chunk, and an entry that never ends."""
    monkeypatch.setattr(json_list, "CHUNK", 1 << 14)
    monkeypatch.setattr(json_list, "LONGEST", 1 << 16)
    entry = json.dumps({"k": list(range(60))}).encode()
    long = b"[" + b",\n".join([entry] * 4000) + b"]"
    endless = b'["' + b"x" * (1 << 21)
    assert len(long) > 40 * json_list.CHUNK
    tracemalloc.start()
    assert sum(1 for _ in JsonList(io.BytesIO(long), "a")) == 4000
    with pytest.raises(Damaged, match="begins at byte 1"):
        list(JsonList(io.BytesIO(endless), "a"))
    assert tracemalloc.get_traced_memory()[1] < 8 * json_list.LONGEST
    tracemalloc.stop()


def test_a_value_is_replaced_and_no_other_byte():
    raw = '{ "z" :1.50, "keypoints":\t[1,\n2 ] ,"ö": {"keypoints": 3}, "s": "}" }'.encode("latin-1")
    expected = raw.replace(b"[1,\n2 ]", b"[9]")
    assert replaced(raw, "keypoints", "[9]") == expected
    assert replaced(b'{"a":1}', "a", "22") == b'{"a":22}'


def test_of_a_key_that_is_there_twice_the_last_counts():
    raw = b'{"a": 1, "b": 2, "\\u0061": 3}'
    changed = replaced(raw, "a", "4")
    assert changed == b'{"a": 1, "b": 2, "\\u0061": 4}' and json.loads(changed)["a"] == 4


@pytest.mark.parametrize("seed", range(3))
def test_replacing_any_key_is_replacing_it_in_the_object(seed):
    rng = np.random.default_rng(seed)
    entry = {f"k{i}": ENTRIES[i] for i in rng.permutation(len(ENTRIES)).tolist()}
    for key in entry:
        changed = replaced(json.dumps(entry, indent=seed or None).encode(), key, '{"n": [0]}')
        assert json.loads(changed) == entry | {key: {"n": [0]}}
        assert list(json.loads(changed)) == list(entry)
