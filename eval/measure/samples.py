"""The file of answers: one line per problem after a header that says which settings made them."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

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
        """Return the problems on file; a line that was cut off by an interruption is dropped from it."""
        if not self._partial.exists():
            return []
        content = self._partial.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            os.truncate(self._partial, len(whole))
        return [Problem.from_dict(json.loads(line)) for line in whole.splitlines()[1:]]

    def append(self, problems: Sequence[Problem]) -> None:
        """Write problems and see them to the disk."""
        lines = [json.dumps(p.as_dict(), ensure_ascii=False) for p in problems]
        if not self._partial.exists() or self._partial.stat().st_size == 0:
            self._partial.parent.mkdir(parents=True, exist_ok=True)
            lines.insert(0, json.dumps({"settings_hash": self._hash}))
        with self._partial.open("a", encoding="utf-8") as file:
            file.write("".join(f"{line}\n" for line in lines))
            file.flush()
            os.fsync(file.fileno())

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
    with path.open(encoding="utf-8") as file:
        try:
            return json.loads(file.readline()).get("settings_hash")
        except (json.JSONDecodeError, AttributeError):
            return None


def read_samples(path: Path, settings_hash: str) -> list[Problem]:
    """Read a finished file of answers.

    Raises:
        RecordError: The answers were made with other settings than the record says, or a line is broken.
    """
    found = samples_hash(path)
    if found != settings_hash:
        raise RecordError(f"{path}:1 · made with settings {found}, the record says {settings_hash} · evaluate again")
    problems = []
    with path.open(encoding="utf-8") as file:
        next(file)
        for number, line in enumerate(file, start=2):
            try:
                problems.append(Problem.from_dict(json.loads(line)))
            except (json.JSONDecodeError, KeyError, TypeError) as error:
                raise RecordError(f"{path}:{number} · not a problem ({error}) · evaluate again") from error
    return problems
