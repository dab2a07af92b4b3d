"""Your own code in a recipe: `kind: custom` with `path: package.module:name`."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ....data.user_code import described


def load_plugin(path: str) -> Any:
    """The object that a path names.

    It is imported like any other code: from what is installed or on `PYTHONPATH`, never fetched.

    Raises:
        ImportError: If the module or the name in it does not exist.
    """
    module, colon, name = path.partition(":")
    if not (module and colon and name.isidentifier()):
        raise ImportError(f"{path!r} is not of the form package.module:name")
    found = import_module(module)
    if not hasattr(found, name):
        raise ImportError(f"{module} has no {name!r}")
    return getattr(found, name)


def plugin_problem(path: str) -> str:
    """What is wrong with a path, or an empty string."""
    try:
        plugin = load_plugin(path)
    except Exception as error:  # Anything may happen while user code is imported; all of it is news.
        return f"cannot be imported: {described(error)}"
    return "" if callable(plugin) else "names something that cannot be called"
