"""Where generated files are, and how they are written: whole, by one writer, and readable after a crash."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

LOCK_FILE = ".quince.lock"
_held: set[str] = set()
"""Folders that this process writes to: a record lock does not keep a process from itself."""
_log = logging.getLogger(__name__)


class FileError(ValueError):
    """A file of the project that cannot be used, or a folder that another process writes to."""


def cache_dir() -> Path:
    """Folder for files that can be made again: ``$QUINCE_CACHE``, else ``~/.cache/quince``."""
    configured = os.environ.get("QUINCE_CACHE")
    return Path(configured).expanduser() if configured else Path.home() / ".cache" / "quince"


def write_atomic(path: Path, content: bytes | str) -> Path:
    """Write a file under a temporary name in the same folder, then rename it into place.

    Two processes that write the same path both succeed and the file is always whole.
    """
    data = content.encode() if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.umask(mask := os.umask(0))  # a process can only read its mask by setting it
        os.chmod(temporary, 0o666 & ~mask)  # temporary files are private; this one is not
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


@contextmanager
def one_writer(place: Path, what: str = "") -> Iterator[None]:
    """Keep other processes from writing into a folder while the block runs.

    The operating system holds the lock and ends it with the process, so a lock file left by a killed one blocks nobody.

    Args:
        place: The folder, made if missing.
        what: Name of a file in it, to lock that file alone.

    Raises:
        FileError: Another process, or this one already, writes there; names its process id and host.
    """
    place.mkdir(parents=True, exist_ok=True)
    file = place.resolve() / (f".{what}.lock" if what else LOCK_FILE)
    place = place / what
    if str(file) in _held:
        raise FileError(_busy(place, _me()))
    handle = _locked(file, place)
    _held.add(str(file))
    try:
        yield
    finally:
        _held.discard(str(file))
        file.unlink(missing_ok=True)
        os.close(handle)


def _locked(file: Path, place: Path) -> int:
    """The open lock file, locked, with this process named in it."""
    while True:
        handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if file.exists() and os.path.samestat(os.fstat(handle), file.stat()):
                break
            os.close(handle)  # its writer has just ended and removed it
        except (BlockingIOError, PermissionError):
            content, owner = os.pread(handle, 4096, 0), {}
            os.close(handle)
            with suppress(ValueError):  # it is being written at this moment
                owner = dict(json.loads(content))
            raise FileError(_busy(place, owner)) from None
        except OSError as error:
            _log.warning("%s · the file system has no locks (%s): start nothing else that writes there", place, error)
            break
    os.ftruncate(handle, 0)
    os.pwrite(handle, json.dumps(_me()).encode(), 0)
    return handle


def _me() -> dict[str, Any]:
    return {"pid": os.getpid(), "host": socket.gethostname()}


def _busy(place: Path, owner: dict[str, Any]) -> str:
    who = f"process {owner.get('pid', '?')} on {owner.get('host', '?')}"
    return f"{place} · {who} is writing there · wait for it or end it, or choose another folder"


def read_log(path: Path, mend: bool = False) -> list[Any]:
    """Values of a file of JSON lines that a process appended to.

    A last line that is cut off, as a crash leaves it, is dropped with a warning.

    Args:
        path: The file; one that is not there has no lines.
        mend: Also cut such a line off the file, so that it can be appended to.

    Raises:
        FileError: Another line is broken; names it.
    """
    values: list[Any] = []
    if not path.exists():
        return values
    with path.open("r+b" if mend else "rb") as file:
        whole = 0
        for number, line in enumerate(file, start=1):
            try:
                value = json.loads(line)
            except (ValueError, RecursionError) as error:
                if file.read(1):
                    raise FileError(f"{path}:{number} · not JSON ({error}) · delete the line, or the file") from None
                _log.warning("%s:%d · the last line is cut off and is left out", path, number)
                if mend:
                    file.truncate(whole)
                break
            values.append(value)
            whole += len(line)
        else:
            if mend and values and not line.endswith(b"\n"):
                file.write(b"\n")
    return values
