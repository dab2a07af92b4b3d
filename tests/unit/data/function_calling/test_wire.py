"""Wire formats of tool calls: round trips, strictness, tolerance, and that no text makes a reader raise."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quince.data.function_calling.wire.calls import PROBLEMS, Call, Parsed, dump, of_message, to_message
from quince.data.function_calling.wire.formats import FORMATS, parse_calls, parse_tolerant, render_calls

CALLS = (
    Call("weather.get-now", {"city": "Стара Загора", "days": 3, "exact": True, "limit": 1.5, "note": None}),
    Call("f", {}),
    Call("f", {"key with space": ["а", {"в": []}], "marks": '</tool_call> ``` ; {"name"} <|im_end|> "quoted"\n'}),
)
FORMAT = pytest.mark.parametrize("format", FORMATS)

letters = st.text(st.characters(codec="utf-8"), max_size=12)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False)
    | letters,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(letters, inner, max_size=3),
    max_leaves=6,
)
names = st.from_regex(r"[A-Za-z_][\w.-]{0,8}", fullmatch=True)
calls = st.lists(st.builds(Call, names, st.dictionaries(letters, values, max_size=3)), min_size=1, max_size=3)
pieces = st.sampled_from(
    [
        *'{}[]",:\'\\;', "<tool_call>", "</tool_call>", "```tool_call\n", "```", "<|python_tag|>", "<escape>",
        "<start_function_call>call:f", "<end_function_call>", '"name": "f"', '"arguments": ', '"parameters": {}', "NaN",
        "1e999", "null", '{"name": "f", "arguments": {}}', '{"function": {"name": "f", "arguments": "{}"}}', "\ufeff",
        "\x00", "\ud800", "\\ud800", "9" * 400, "9" * 5000, "[" * 300, '{"a":' * 300, "tool_calls", "да", "\n", " ",
    ]
)  # fmt: skip
hostile = st.lists(pieces | st.text(max_size=5), max_size=14).map("".join)


def hermes(*blocks: str) -> str:
    return "\n".join(f"<tool_call>\n{block}\n</tool_call>" for block in blocks)


@FORMAT
def test_calls_come_back_as_they_were(format):
    assert parse_calls(render_calls(CALLS, format), format) == Parsed(CALLS, "")
    assert parse_tolerant(render_calls(CALLS, format)).calls == CALLS


@FORMAT
@settings(max_examples=60, deadline=None)
@given(calls=calls)
def test_any_json_arguments_come_back(format, calls):
    try:
        text = render_calls(calls, format)
    except ValueError:
        assert format == "gemma"  # `<escape>` within a text
        return
    parsed = parse_calls(text, format)
    assert (parsed.problems, dump([c.arguments for c in parsed.calls])) == ((), dump([c.arguments for c in calls]))
    assert [call.name for call in parsed.calls] == [call.name for call in calls]


@FORMAT
@settings(max_examples=150, deadline=None)
@given(text=hostile)
def test_no_text_makes_a_reader_raise(format, text):
    parsed = parse_calls(text, format)
    assert not (parsed.calls and parsed.problems)
    assert all(problem.split(":")[0] in PROBLEMS for problem in parsed.problems)
    json.dumps([call.arguments for call in parsed.calls], allow_nan=False, ensure_ascii=False).encode()
    assert parse_tolerant(text).problems == ()


@FORMAT
def test_text_beside_calls_is_kept(format):
    beside = f"Добре.\n{render_calls(CALLS[:2], format)}"
    if format == "openai":
        beside = json.dumps({"content": "Добре.", "tool_calls": json.loads(render_calls(CALLS[:2], format))})
    assert parse_calls(beside, format) == Parsed(CALLS[:2], "Добре.")


@FORMAT
@pytest.mark.parametrize("text", ["", "Коя е датата?", "Use {x} or [1, 2] or `code`.", "I can't. It's 5 > 3; \"ok\"?"])
def test_plain_text_stays_plain(format, text):
    assert parse_calls(text, format) == Parsed((), text)


@FORMAT
@pytest.mark.parametrize("other", FORMATS)
def test_a_call_in_another_format_is_a_problem(format, other):
    parsed = parse_calls(render_calls(CALLS[1:2], other), format)
    assert bool(parsed.problems) == (format != other)
    assert parse_tolerant(render_calls(CALLS[1:2], other)).calls == CALLS[1:2]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("<tool_call>\n" + '{"name": "f", "arguments": {}}', "unclosed"),
        ('{"name": "f", "arguments": {}}\n</tool_call>', "stray_mark"),
        (hermes('{"name": "f", "arguments": {}}', "") + "<tool_call>", "not_json"),
        (hermes("{'name': 'f', 'arguments': {}}"), "not_json"),
        (hermes('{"name": "f", "arguments": {"a": 1,}}'), "not_json"),
        (hermes('{"name": "f", "arguments": {"a": 1'), "not_json"),
        (hermes('{"name": "f", "arguments": {"a": NaN}}'), "not_json"),
        (hermes('{"name": "f", "arguments": {"a": -Infinity}}'), "not_json"),
        (hermes('{"name": "f", "arguments": {"a": 1e999}}'), "not_json"),
        (hermes('{"name": "f", "arguments": {"a": ' + "9" * 5000 + "}}"), "not_json"),
        (hermes('{"name": "f", "arguments": {"a": 1, "a": 1}}'), "not_json"),
        (hermes('{"name": "f", "arguments": {"a": "\\ud800"}}'), "not_json"),
        (hermes('{"name": "f", "arguments": {"a": "\ud800"}}'), "not_json"),
        (hermes('{"name": "f", "arguments": {"a": "x\x00"}}'), "not_json"),
        (hermes('\ufeff{"name": "f", "arguments": {}}'), "not_json"),
        (hermes('{"name": "f", "arguments": {"a": ' + "[" * 100 + "]" * 100 + "}}"), "not_json"),
        (hermes('{"name": "f", "arguments": {"a": ' + "[" * 100_000), "not_json"),
        (hermes('{"name": "f", "arguments": {}} {"name": "g", "arguments": {}}'), "not_json"),
        (hermes(hermes('{"name": "f", "arguments": {}}')), "not_json"),
        (hermes('[{"name": "f", "arguments": {}}]'), "not_a_call"),
        (hermes("null"), "not_a_call"),
        (hermes("7"), "not_a_call"),
        (hermes("{}"), "not_a_call"),
        (hermes('{"name": "f"}'), "not_a_call"),
        (hermes('{"name": "f", "parameters": {}}'), "not_a_call"),
        (hermes('{"name": "", "arguments": {}}'), "bad_name"),
        (hermes('{"name": 7, "arguments": {}}'), "bad_name"),
        (hermes('{"name": "f", "arguments": "{}"}'), "bad_arguments"),
        (hermes('{"name": "f", "arguments": [1]}'), "bad_arguments"),
        (hermes('{"name": "f", "arguments": null}'), "bad_arguments"),
        ('```json\n{"name": "f", "arguments": {}}\n```', "other_format"),
        ("```tool_call\n{}\n```", "other_format"),
        ("I would call {'name': 'f', 'arguments': {'a': 1}}.", "other_format"),
        (hermes('{"name": "f", "arguments": {}}') + '{"name": "g", "arguments": {}}', "other_format"),
    ],
)  # fmt: skip
def test_what_the_hermes_reader_refuses(text, code):
    parsed = parse_calls(text)
    assert parsed.calls == ()
    assert parsed.problems[0].startswith(f"{code}: ")


@pytest.mark.parametrize(
    ("format", "text"),
    [
        ("openai", '{"name": "f", "arguments": {"a": 1}}'),
        ("openai", '{"name": "f", "arguments": "{\\"a\\": 1}"}'),
        ("openai", '[{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{\\"a\\": 1}"}}]'),
        ("openai", '{"role": "assistant", "content": null, "tool_calls": [{"name": "f", "arguments": {"a": 1}}]}'),
        ("tucan", '```tool_call\n{"name": "f", "arguments": {"a": 1}}\n```'),
        ("tucan", '```tool_call {"name": "f", "parameters": {"a": 1}}```'),
        ("llama3", '<|python_tag|>{"name": "f", "parameters": {"a": 1}}'),
        ("llama3", '{"name": "f", "arguments": {"a": 1}};'),
        ("gemma", "<start_function_call>call:f{a:1}<end_function_call>"),
        ("gemma", "<start_function_call>call:f{ <escape>a<escape> : 1 }<end_function_call>"),
        ("hermes", '<tool_call>{"id": 1, "name": "f", "arguments": {"a": 1}}</tool_call>'),
        ("hermes", '\ufeff<tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>'),
    ],
)
def test_ways_to_write_one_call(format, text):
    assert parse_calls(text, format) == Parsed((Call("f", {"a": 1}),), "")


@pytest.mark.parametrize(
    ("format", "text", "code"),
    [
        ("openai", "[]", "not_a_call"),
        ("openai", '[{"name": "f", "arguments": {}}', "not_json"),
        ("openai", '[{"name": "f", "arguments": "{"}]', "bad_arguments"),
        ("tucan", '```tool_call\n[{"name": "f", "parameters": {}}]\n```', "not_a_call"),
        ("tucan", '```tool_call\n{"name": "f", "parameters": "{}"}\n```', "bad_arguments"),
        ("tucan", "```tool_call\nnull\n```", "not_a_call"),
        ("tucan", '```tool_call\n{"name": "f", "parameters": {}}', "unclosed"),
        ("llama3", '{"name": "f", "parameters": {}}; {"name": "g"', "not_json"),
        ("llama3", '{"name": "f"}', "not_a_call"),
        ("gemma", "<start_function_call>call:f{a:<escape>x}<end_function_call>", "not_json"),
        ("gemma", "<start_function_call>call:f{a:1,a:2}<end_function_call>", "not_json"),
        ("gemma", "<start_function_call>call:f{a:" + "[" * 900 + "<end_function_call>", "not_json"),
        ("gemma", "<start_function_call>f(1)<end_function_call>", "not_a_call"),
        ("gemma", "<start_function_call>call:f{a:1}", "unclosed"),
    ],
)
def test_what_other_readers_refuse(format, text, code):
    parsed = parse_calls(text, format)
    assert parsed.calls == ()
    assert parsed.problems[0].startswith(f"{code}: ")


@pytest.mark.parametrize(
    "text",
    [
        "<tool_call>{'name': 'f', 'arguments': {'a': True}}</tool_call>",
        '<tool_call>{"name": "f", "arguments": {"a": true}}',
        '<tool_call>{"name": "f", "arguments": {"a": true,},}</tool_call>',
        '```json\n[{"name": "f", "parameters": "{\\"a\\": true}"}]\n```',
        '```tool_call\n[{"name": "f", "arguments": {"a": true}}]\n```',
        'Sure: {"tool": "f", "args": {"a": true',
    ],
)
def test_repairs(text):
    assert parse_calls(text).calls == ()
    assert parse_tolerant(text).calls == (Call("f", {"a": True}),)


def test_backticks_in_a_tucan_argument_do_not_end_the_fence():
    call = Call("run", {"code": "```python\nprint()\n```"})
    assert parse_calls(render_calls([call], "tucan"), "tucan").calls == (call,)


def test_messages_hold_arguments_as_strings():
    message = to_message(CALLS, "Добре")
    assert [type(item["function"]["arguments"]) for item in message["tool_calls"]] == [str] * 3
    assert of_message(message) == CALLS
    assert "tool_calls" not in to_message(())


def test_unknown_format_is_named():
    with pytest.raises(ValueError, match=r"'hermees' is unknown · .* · did you mean `hermes`"):
        parse_calls("", "hermees")


@pytest.mark.vllm
@settings(max_examples=300, deadline=None)
@given(text=hostile | calls.map(render_calls))
def test_vllm_reads_what_is_read_here(vllm_hermes, text):
    parsed = parse_calls(text)
    if parsed.problems:
        return
    served = vllm_hermes(text)
    assert served == [(call.name, dump(call.arguments)) for call in parsed.calls]


@pytest.fixture(scope="module")
def vllm_hermes():
    parsers = pytest.importorskip("vllm.tool_parsers.hermes_tool_parser")
    parser = parsers.Hermes2ProToolParser(tokenizer=object())

    def read(text: str) -> list[tuple[str, str]]:
        found = parser.extract_tool_calls(text, request=None)
        return [(call.function.name, call.function.arguments) for call in found.tool_calls]

    return read
