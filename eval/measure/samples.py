"""The file of answers: one line per problem after a header that says which settings made them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...data.cache import FileError, read_log
from .problems import Problem

SAMPLES_FILE = "samples.jsonl"


class RecordError(ValueError):
    """A record folder that cannot be read, with what to do about it."""


class SampleLog:
    """Appends finished problems under a temporary name that holds the settings' hash, so nothing mixes.

    Args:
        folder: The record folder.
        settings_hash: Of the evaluation that writes.
    """

    def __init__(self, folder: Path, settings_hash: str) -> None:
        self._hash = settings_hash
        self._partial = folder / f"samples.{settings_hash}.partial"
        self._final = folder / SAMPLES_FILE

    def read(self) -> list[Problem]:
        """Return the problems on file; a line that was cut off by an interruption is dropped from it.

        A finished file of the same settings that misses problems is taken up again.
        """
        if not self._partial.exists():
            if not self._final.exists() or samples_hash(self._final) != self._hash:
                return []
            shutil.copyfile(self._final, self._partial)
        return _problems(self._partial, read_log(self._partial, mend=True))

    def append(self, problems: Sequence[Problem]) -> None:
        """Write problems and see them to the disk."""
        if not self._partial.exists() or self._partial.stat().st_size == 0:
            self._partial.parent.mkdir(parents=True, exist_ok=True)
            self._partial.write_text(json.dumps({"settings_hash": self._hash}) + "\n", encoding="utf-8")
        with self._partial.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(p.as_dict(), ensure_ascii=False) + "\n" for p in problems)
            file.flush()
            os.fsync(file.fileno())

    def rewrite(self, problems: Sequence[Problem]) -> None:
        """Keep exactly these problems."""
        self.drop()
        self.append(problems)

    def finish(self) -> Path:
        """Give the file its final name."""
        os.replace(self._partial, self._final)
        return self._final

    def drop(self) -> None:
        """Forget the answers."""
        self._partial.unlink(missing_ok=True)

    def finished(self) -> list[Problem] | None:
        """Return the problems of a finished evaluation with the same settings, None if there is none."""
        if not self._final.exists() or samples_hash(self._final) != self._hash:
            return None
        return read_samples(self._final, self._hash)


def samples_hash(path: Path) -> str | None:
    """Return the hash in the header of a file of answers."""
    with path.open("rb") as file:
        try:
            return json.loads(file.readline()).get("settings_hash")
        except (ValueError, AttributeError):
            return None


def read_samples(path: Path, settings_hash: str) -> list[Problem]:
    """Read a finished file of answers; a last line that is cut off is left out with a warning.

    Raises:
        RecordError: The answers were made with other settings than the record says, or a line is broken.
    """
    found = samples_hash(path)
    if found != settings_hash:
        raise RecordError(f"{path}:1 · made with settings {found}, the record says {settings_hash} · evaluate again")
    try:
        return _problems(path, read_log(path))
    except FileError as error:
        raise RecordError(f"{error} · evaluate again") from error


def _problems(path: Path, lines: Sequence[Any]) -> list[Problem]:
    problems = []
    for number, line in enumerate(lines[1:], start=2):
        try:
            problems.append(Problem.from_dict(line))
        except (KeyError, TypeError) as error:
            raise RecordError(f"{path}:{number} · not a problem ({error}) · evaluate again") from error
    return problems
