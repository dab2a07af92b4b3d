"""Files of a stranger are rows, or one clear line that names the file and the place."""

from __future__ import annotations

import gzip

import pytest
from quince.data.files import read_records
from quince.data.rows import RowError

DEEP = "[" * 100_000 + "]" * 100_000
BAD = {
    "not UTF-8": ("a.jsonl", b'{"a": 1}\n{"a": "\xff"}\n', r"a\.jsonl:2 · not UTF-8 \(byte 0xff\)"),
    "deep": ("a.jsonl", f'{{"a": {DEEP}}}', r"a\.jsonl:1 · JSON · .* nested too deeply"),
    "deep JSON": ("a.json", f'[{{"a": {DEEP}}}]', r"a\.json · JSON · .* nested too deeply"),
    "number": ("a.jsonl", '{"a": 1}\n{"a": ' + "1" * 5000 + "}", r"a\.jsonl:2 · JSON · .*4300 digits"),
    "number in JSON": ("a.json", '[{"a": ' + "1" * 5000 + "}]", r"a\.json · JSON · .*4300 digits"),
    "surrogate": ("a.jsonl", '{"a": "\\ud800"}', r"a\.jsonl:1 · JSON · .* half of a surrogate pair: '\\ud800'"),
    "empty": ("a.jsonl", "", "no rows"),
    "empty list": ("a.json", "[]", "no rows"),
    "only a header": ("a.csv", "a,b\n", "no rows"),
    "not JSON": ("a.jsonl", '{"a": 1}\n{', r"a\.jsonl:2 · JSON"),
    "not an object": ("a.jsonl", "[1]", r"a\.jsonl:1 · record · found \[1\]"),
    "parquet": ("a.parquet", "nonsense", r"a\.parquet:1 · cannot be read"),
    "not gzip": ("a.jsonl.gz", "nonsense", r"a\.jsonl\.gz:1 · cannot be read"),
    "cut gzip": ("a.jsonl.gz", gzip.compress(b'{"a": 1}\n' * 999, mtime=0)[:-9], r"a\.jsonl\.gz:\d+ · cannot be read"),
    "more values than columns": ("a.csv", "a,b\n1,2,3\n", "record 1 .* one value for each column"),
    "fewer values than columns": ("a.csv", "a,b\n1,2\n3\n", "record 2 .* one value for each column"),
    "open quote": ("a.csv", 'a,b\n1,"2', "cannot be read"),
    "format": ("a.txt", "x", r"format · found \.txt"),
}


@pytest.mark.parametrize(("name", "content", "words"), BAD.values(), ids=BAD)
def test_a_bad_file_is_one_clear_line(name, content, words, tmp_path):
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(RowError, match=words) as caught:
        read_records(file)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


GOOD = {
    "byte-order mark": ("a.jsonl", b'\xef\xbb\xbf{"a": "1"}\n'),
    "byte-order mark in JSON": ("a.json", b'\xef\xbb\xbf[{"a": "1"}]'),
    "byte-order mark in CSV": ("a.csv", b"\xef\xbb\xbfa\n1\n"),
    "blank lines": ("a.jsonl", b'\n{"a": "1"}\n\n'),
}


@pytest.mark.parametrize(("name", "content"), GOOD.values(), ids=GOOD)
def test_what_editors_write_is_read(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    assert [record for _, record in read_records(tmp_path / name)] == [{"a": "1"}]


def test_a_whole_pair_of_surrogates_and_a_long_field_are_text(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"a": "\\ud83d\\ude00"}')
    assert read_records(tmp_path / "a.jsonl") == [(1, {"a": "😀"})]
    (tmp_path / "a.csv").write_text("a\n" + "x" * 200_000 + "\n")
    assert len(read_records(tmp_path / "a.csv")[0][1]["a"]) == 200_000
