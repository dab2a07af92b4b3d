"""Your own code in messages: where a function is written, and the line of yours on which something went wrong."""

from __future__ import annotations

import inspect
import site
import sysconfig
import traceback
from pathlib import Path
from typing import Any

_PACKAGES = (Path(__file__).parents[1], Path(__file__).resolve().parents[1])  # which may be behind a link
_OWN = tuple(str(package / floor) for package in _PACKAGES for floor in ("data", "rewards", "eval", "recipes"))
_LIBRARIES = (sysconfig.get_path("stdlib"), *site.getsitepackages())


def described(error: BaseException) -> str:
    """`file.py:12 in name: KeyError: 'answer'`, with the innermost line that is neither Quince's nor a library's."""
    what = f"{type(error).__name__}: {error}"
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith((*_OWN, "<"))
    ]
    yours = [frame for frame in frames if not frame.filename.startswith(_LIBRARIES)]
    return f"{yours[-1].filename}:{yours[-1].lineno} in {yours[-1].name}: {what}" if yours else what


def place_of(found: Any) -> str:
    """`file.py:12 name` of a function, a class or an object's class."""
    target = found if inspect.isroutine(found) or inspect.isclass(found) else type(found)
    name = getattr(target, "__qualname__", repr(target))
    try:
        return f"{inspect.getsourcefile(target)}:{inspect.getsourcelines(target)[1]} {name}"
    except (OSError, TypeError):
        return str(name)
