"""Where generated files live, and how they are written so that nobody reads half a file."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


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
        os.chmod(temporary, 0o666 & ~_umask())  # temporary files are private; this one is not
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


def _umask() -> int:
    """The process's file mode mask; it can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
