"""Tools of MCP servers: from a saved ``tools/list``, or from a live server over standard input and output.

The live listing runs the server's command with the few environment variables that the ``mcp`` package considers safe
and those given; it never shows their values.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...rows import RowError, shorten
from ..check.schema import check_tool, from_mcp, openai_tool

_MOST_PAGES = 1000  # of a listing; a server may return pages without end


def tools_from_file(path: str | Path) -> list[dict[str, Any]]:
    """Tools of a JSON file: an answer to ``tools/list``, its ``result``, or a bare list of tools.

    A tool may have MCP's shape (``inputSchema``), OpenAI's (``function``) or be a bare function
    (``parameters``). The result has the inner shape of ``schema.py``.

    Raises:
        RowError: If there is no such file, or it or a tool in it is malformed.
    """
    file = Path(path).expanduser()
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise RowError(f"{file} · file · found {error.strerror} · name a JSON file of tools") from None
    except ValueError as error:
        raise RowError(f"{file} · JSON · found {error} · mend it") from None
    if isinstance(found, dict):
        found = found.get("result", found)
    listed = found.get("tools") if isinstance(found, dict) else found
    if not isinstance(listed, list):
        raise RowError(f"{file} · tools · found {shorten(found, 60)} · give a list, or an object with tools")
    return _checked([_inner(tool, f"{file} · tools[{index}]") for index, tool in enumerate(listed)], str(file))


def tools_from_server(
    command: str,
    arguments: Sequence[str] = (),
    *,
    environment: Mapping[str, str] | None = None,
    timeout_s: float = 30.0,
) -> list[dict[str, Any]]:
    """Tools that a live MCP server lists, in the inner shape; the server is stopped afterwards.

    `environment` adds to the safe variables; `timeout_s` bounds starting and listing together.

    Raises:
        RowError: If the package ``mcp`` is missing, the server does not start, does not answer in time,
            or lists a malformed tool.
    """
    where = f"mcp · {command}"  # without the arguments: they may hold a key
    try:
        import anyio
        import mcp  # noqa: F401
    except ImportError:
        raise RowError(f"{where} · found no package mcp · pip install 'quince[mcp]'") from None
    try:
        listed = anyio.run(_list_tools, command, list(arguments), environment, timeout_s)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        raise RowError(f"{where} · {_reason(error, timeout_s)}") from error
    return _checked([from_mcp(tool) for tool in listed], where)


async def _list_tools(
    command: str, arguments: list[str], environment: Mapping[str, str] | None, timeout_s: float
) -> list[dict[str, Any]]:
    import anyio
    from mcp import ClientSession, StdioServerParameters, stdio_client
    from mcp.types import PaginatedRequestParams

    server = StdioServerParameters(command=command, args=arguments, env=dict(environment or {}))
    tools: list[dict[str, Any]] = []
    cursor = None
    with anyio.fail_after(timeout_s), open(os.devnull, "w", encoding="utf-8") as quiet:
        async with stdio_client(server, errlog=quiet) as streams, ClientSession(*streams) as session:
            await session.initialize()
            for _ in range(_MOST_PAGES):
                page = await session.list_tools(params=PaginatedRequestParams(cursor=cursor))
                tools += [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in page.tools]
                cursor = page.next_cursor
                if not cursor:
                    break
    return tools


def _reason(error: BaseException, timeout_s: float) -> str:
    """What went wrong, from the innermost of grouped errors."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, TimeoutError):
        return f"found no answer in {timeout_s:g} s · check the command, or give a longer timeout_s"
    if isinstance(error, FileNotFoundError | PermissionError):
        return f"command · found {error.strerror} · name a program that can be started"
    return f"found {type(error).__name__}: {shorten(str(error), 120)} · check that it is an MCP server on stdio"


def _inner(tool: Any, where: str) -> Any:
    if not isinstance(tool, Mapping):
        raise RowError(f"{where} · found {shorten(tool, 60)} · give an object")
    if "inputSchema" in tool or "input_schema" in tool:
        return from_mcp({"inputSchema": tool.get("input_schema"), **tool})
    function = tool.get("function", tool)
    if not isinstance(function, Mapping):
        raise RowError(f"{where} · function · found {shorten(function, 60)} · give an object")
    return openai_tool(function.get("name"), function.get("description"), function.get("parameters"))


def _checked(tools: Sequence[Any], where: str) -> list[dict[str, Any]]:
    checked = [check_tool(tool, f"{where} · tools[{index}]") for index, tool in enumerate(tools)]
    names = [tool["function"]["name"] for tool in checked]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise RowError(f"{where} · tools[{index}].name · found {name!r} twice · give each tool a name of its own")
    return checked
