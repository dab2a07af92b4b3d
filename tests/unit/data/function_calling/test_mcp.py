from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from quince.data.function_calling.adapters import mcp
from quince.data.rows import RowError

FIXTURES = Path(__file__).parents[2] / "fixtures" / "function_calling"


def names(tools):
    return [tool["function"]["name"] for tool in tools]


def test_tools_of_a_saved_listing():
    tools = mcp.tools_from_file(FIXTURES / "mcp_listing.json")
    assert names(tools) == ["ring_bell", "stop_bell"]
    assert tools[0]["function"]["parameters"] == {"type": "object", "properties": {"times": {"type": "integer"}}}
    assert tools[1]["function"]["parameters"] == {"type": "object", "properties": {}}


def test_a_file_may_hold_any_shape_of_tool(tmp_path):
    file = tmp_path / "tools.json"
    bare = {"name": "a", "description": "A.", "parameters": {"type": "object", "properties": {}}}
    for listed in (
        [bare],
        {"tools": [{"type": "function", "function": bare}]},
        {"result": {"tools": [{"name": "a", "description": "A.", "inputSchema": bare["parameters"]}]}},
    ):
        file.write_text(json.dumps(listed), encoding="utf-8")
        assert mcp.tools_from_file(file) == [{"type": "function", "function": bare}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "tools.json · JSON · found .* · mend it"),
        ('{"tools": 3}', "tools.json · tools · found {'tools': 3} · give a list"),
        ("[3]", r"tools\[0\] · found 3 · give an object"),
        ('[{"name": "a"}, {"name": "a"}]', r"tools\[1\].name · found 'a' twice"),
        (
            '[{"name": "a", "inputSchema": {"type": "object", "properties": {"x": {"type": "text"}}}}]',
            "properties.x.type",
        ),
    ],
)
def test_a_bad_listing_says_where(tmp_path, text, message):
    file = tmp_path / "tools.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(RowError, match=message):
        mcp.tools_from_file(file)


def test_a_missing_file():
    with pytest.raises(RowError, match=r"nothing.json · file · found No such file"):
        mcp.tools_from_file("nothing.json")


def test_tools_of_a_live_server():
    pytest.importorskip("mcp")
    tools = mcp.tools_from_server(sys.executable, [str(FIXTURES / "mcp_server.py")], timeout_s=60)
    assert names(tools) == ["ring_bell"]
    function = tools[0]["function"]
    assert function["description"] == "Rings the bell of a tower."
    assert function["parameters"]["required"] == ["tower"]
    assert function["parameters"]["properties"]["times"]["default"] == 1


@pytest.mark.parametrize(
    ("command", "code", "timeout_s", "message"),
    [
        (sys.executable, "import sys; sys.stdin.read()", 0.5, "found no answer in 0.5 s · check the command"),
        (sys.executable, "pass", 30, "check that it is an MCP server on stdio"),
        ("no-such-program", "", 30, "command · found No such file .* name a program"),
    ],
)
def test_a_server_that_does_not_answer(command, code, timeout_s, message):
    pytest.importorskip("mcp")
    with pytest.raises(RowError, match=message) as caught:
        mcp.tools_from_server(command, ["-c", code, "--key=secret"], timeout_s=timeout_s)
    assert "secret" not in str(caught.value)
