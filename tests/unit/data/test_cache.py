"""One writer a folder, and logs that a crash cut off."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys

import pytest
from quince.data.cache import LOCK_FILE, FileError, one_writer, read_log

HOLD = """
import sys
from pathlib import Path
from quince.data.cache import one_writer
with one_writer(Path(sys.argv[1])):
    print("in", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that writes into `tmp_path`."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdin=-1, stdout=-1, text=True)
    assert process.stdout.readline() == "in\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_writer_is_named(holder, tmp_path):
    words = rf"^{tmp_path} · process {holder.pid} on .+ is writing there · wait"
    with pytest.raises(FileError, match=words), one_writer(tmp_path):
        pytest.fail("two writers")
    with one_writer(tmp_path / "beside"), one_writer(tmp_path, "one_file"):
        pass


def test_a_killed_writer_keeps_nobody_out(holder, tmp_path):
    holder.kill()
    holder.wait()
    assert (tmp_path / LOCK_FILE).exists()
    with one_writer(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_a_process_is_kept_from_itself_until_it_is_done(tmp_path):
    with pytest.raises(KeyError), one_writer(tmp_path):
        with pytest.raises(FileError, match=f"process {os.getpid()} on"), one_writer(tmp_path / "x" / ".."):
            pytest.fail("two writers")
        raise KeyError
    with one_writer(tmp_path):
        pass


@pytest.mark.parametrize("cut", ['{"step": 3, "lo', "\x00\x00", '{"step": 3, "loss": NaN}\n{"', "[" * 100_000])
def test_a_last_line_that_is_cut_off_is_dropped_with_a_warning(cut, tmp_path, caplog):
    file = tmp_path / "metrics.jsonl"
    whole = '{"step": 1}\n{"step": 2}\n'
    file.write_text(whole + cut)
    with caplog.at_level(logging.WARNING):
        values = read_log(file)
    assert [value["step"] for value in values] == [1, 2, 3][: 2 + cut.count("\n")]
    assert f"{file}:{len(values) + 1}" in caplog.text
    assert file.read_text() == whole + cut
    assert [v["step"] for v in read_log(file, mend=True)] == [v["step"] for v in values]
    with file.open("a") as stream:
        stream.write('{"step": 9}\n')
    assert read_log(file)[-1] == {"step": 9} and len(read_log(file)) == len(values) + 1


def test_a_line_without_its_end_is_kept_and_ended(tmp_path):
    file = tmp_path / "log"
    file.write_text('{"a": 1}')
    assert read_log(file, mend=True) == [{"a": 1}]
    assert file.read_text() == '{"a": 1}\n'


def test_a_broken_line_elsewhere_is_an_error_with_its_number(tmp_path):
    file = tmp_path / "log"
    file.write_text('{"a": 1}\n{"a": \n{"a": 3}\n')
    with pytest.raises(FileError, match=rf"^{file}:2 · not JSON"):
        read_log(file, mend=True)
    assert read_log(tmp_path / "nothing") == []
    assert json.loads(file.read_text().splitlines()[2]) == {"a": 3}
