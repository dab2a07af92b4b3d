from __future__ import annotations

import json
from pathlib import Path

import pytest
from quince.data.function_calling.adapters import bfcl, common, conversations, tau_bench
from quince.data.function_calling.adapters.xlam import schema_of
from quince.data.function_calling.check.schema import argument_problems, function_of
from quince.data.function_calling.wire.calls import of_message
from quince.data.rows import RowError
from quince.data.sources import load_demonstrations, load_rows

FIXTURES = Path(__file__).parents[2] / "fixtures" / "function_calling"
ROOT = {"root": str(FIXTURES)}


def gold(row):
    return json.loads(row["gold"])


def tools(row):
    return {function_of(tool)["name"]: function_of(tool)["parameters"] for tool in json.loads(row["tools"])}


def roles(row):
    return [message["role"] for message in row["messages"]]


def calls(message):
    return [(call.name, call.arguments) for call in of_message(message)]


def test_tucan():
    first, second, third = load_demonstrations("tucan", split="train", path="tucan.jsonl", **ROOT)
    assert roles(first) == ["user", "assistant", "tool", "assistant"]
    assert first["messages"][0]["content"] == "Имаш достъп до функции.\nНаеми ми лодка на езерото Панчарево за 2 часа."
    assert first["messages"][1]["content"] == "Веднага."
    assert calls(first["messages"][1]) == [("boat_hire", {"lake": "Панчарево", "hours": 2})]
    assert "Панчарево" in first["messages"][1]["tool_calls"][0]["function"]["arguments"]
    assert first["messages"][2] == {"role": "tool", "content": '{"price": 30}', "name": "boat_hire"}
    assert (first["language"], first["task"], first["id"]) == ("bg", "function_call", "tucan/train/1")
    assert second["tools"] == "[]" and second["messages"][0]["content"] == "Здравей!"
    # The fence of the model cards; a result that nobody answers is no turn to learn.
    assert roles(third) == ["user", "assistant"] and calls(third["messages"][1]) == [("boat_hire", {})]


def test_tucan_eval():
    rows = load_rows("tucan_eval", split="test", path="tucan_eval.json", **ROOT)
    assert [row["scenario"] for row in rows] == ["single", "missing", "irrelevant", "no_tools"]
    assert gold(rows[0]) == {"decision": "call", "calls": [{"name": "lamp_on", "arguments": {"room": "кухня"}}]}
    assert gold(rows[1]) == {"decision": "ask", "calls": []}
    assert gold(rows[2]) == {"decision": "answer", "calls": [], "decisions": ["answer", "refuse"]}
    assert rows[3]["tools"] == "[]"


def test_xlam_makes_an_object_schema_of_flat_python_types():
    first, second = load_rows("xlam", split="train", path="xlam.json", **ROOT)
    assert tools(first)["kite_wind"] == {
        "type": "object",
        "properties": {
            "beach": {"type": "string", "description": "Name of the beach."},
            "days": {"type": "integer", "description": "Days ahead."},
            "levels": {"type": "array", "items": {"type": "integer"}, "description": "Heights.", "default": [10, 20]},
            "unit": {"type": "string", "description": "Unit.", "default": "knots"},
            "gusts": {"type": "boolean", "description": "With gusts."},
            "box": {
                "type": "array",
                "items": {"type": "number"},
                "minItems": 2,
                "maxItems": 2,
                "description": "Corners.",
            },
            "extra": {"type": "object", "description": "Anything."},
            "when": {"anyOf": [{"type": "integer"}, {"type": "string"}], "description": "Day."},
        },
        "required": ["beach", "box"],
    }
    assert first["scenario"] == "parallel_different" and second["scenario"] == "single"
    for call in gold(first)["calls"]:
        assert argument_problems(call["arguments"], tools(first)[call["name"]]) == []


def test_xlam_as_demonstrations():
    row = load_demonstrations("xlam", split="train", path="xlam.json", **ROOT)[0]
    assert roles(row) == ["user", "assistant"]
    assert [name for name, _ in calls(row["messages"][1])] == ["kite_wind", "tide"]


@pytest.mark.parametrize(
    ("note", "schema", "optional"),
    [
        ("str", {"type": "string"}, False),
        ("int, optional", {"type": "integer"}, True),
        ("int, default 5", {"type": "integer"}, True),
        ("Optional[float]", {"type": "number"}, True),
        ("str | None", {"type": "string"}, True),
        ("List[List[int]]", {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}}, False),
        ("Dict[str, float]", {"type": "object", "additionalProperties": {"type": "number"}}, False),
        ("Tuple[int, ...]", {"type": "array", "items": {"type": "integer"}}, False),
        ("Tuple[int, str]", {"type": "array", "minItems": 2, "maxItems": 2}, False),
        ("set", {"type": "array"}, False),
        ("Union[int, float]", {"anyOf": [{"type": "integer"}, {"type": "number"}]}, False),
        ("Callable[[float], float], optional", {}, True),
        ("np.ndarray", {}, False),
        ("", {}, False),
        ("List[", {}, False),
    ],
)
def test_python_type_notes(note, schema, optional):
    assert schema_of(note) == (schema, optional)


def test_hermes():
    first, second, third = load_demonstrations("hermes_fc", split="singleturn", path="hermes.json", **ROOT)
    assert roles(first) == ["user", "assistant", "tool", "tool", "assistant"]
    assert first["messages"][1]["content"] == "One moment."
    # The second call is a Python literal: single quotes, an apostrophe and None.
    assert calls(first["messages"][1]) == [
        ("oven_heat", {"degrees": 200}),
        ("bake_time", {"dish": "grandma's banitsa", "grams": None}),
    ]
    # A list of two is the result of the second call, not one result for each.
    assert [(m["name"], m["content"]) for m in first["messages"][2:4]] == [
        ("oven_heat", '{"ok": true}'),
        ("bake_time", "[40, 45]"),
    ]
    assert set(tools(first)) == {"oven_heat", "bake_time"} and set(tools(second)) == {"bake_time"}
    assert roles(third) == ["system", "user", "assistant"] and third["tools"] == "[]"


@pytest.mark.parametrize("text", ["{1, 2}", "__import__('os')", "{'a': b'x'}", "(" * 5000, "open('x')"])
def test_what_is_no_json_value_is_refused_and_never_run(text):
    with pytest.raises(RowError, match="f:1 · call · found"):
        conversations.literal(text, "call", {}, "f:1")


def test_llama_factory_merges_parallel_calls():
    first, second, third = load_demonstrations("llama_factory", split="x", path="llama_factory.json", **ROOT)
    assert roles(first) == ["system", "user", "assistant", "tool", "tool", "assistant"]
    assert calls(first["messages"][2]) == [("plant_water", {"plant": "fern"}), ("plant_water", {"plant": "ivy"})]
    assert [message["content"] for message in first["messages"][3:5]] == ['{"ml": 100}', '{"ml": 150}']
    assert roles(second) == ["user", "assistant", "tool", "tool", "assistant"]
    assert len(second["messages"][1]["tool_calls"]) == 2
    assert second["messages"][2]["content"] == "[1, 2]"
    assert roles(third) == ["user", "assistant"]
    assert (
        load_demonstrations("apigen_mt", split="train", path="llama_factory.json", **ROOT)[0]["messages"]
        == (first["messages"])
    )


def test_openai_messages():
    first, second = load_demonstrations("openai_messages", split="x", path="openai_messages.jsonl", **ROOT)
    assert roles(first) == ["system", "user", "assistant", "tool", "tool", "assistant"]
    assert first["messages"][1]["content"] == "Bus to Русе?" and first["messages"][2]["content"] == ""
    assert calls(first["messages"][2]) == [("bus", {"to": "Русе"}), ("bus", {"to": "Видин"})]
    assert first["messages"][3]["content"] == '{"at": null}'
    assert tools(first)["bus"]["properties"] == {"to": {"type": "string"}}
    assert calls(second["messages"][1]) == [("bus", {"to": "Русе"})]


def test_arrow_invents_no_nulls(tmp_path):
    """Struct columns of a parquet file pad every record with the keys of all others."""
    table = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    def record(name, parameter, value):
        call = {"function": {"name": name, "arguments": {parameter: value}}}
        turns = [
            {"role": "user", "content": "?", "tool_calls": None},
            {"role": "assistant", "content": "", "tool_calls": [call]},
        ]
        schema = {"type": "object", "properties": {parameter: {"type": "string"}}}
        return {"messages": turns, "tools": [{"function": {"name": name, "description": "", "parameters": schema}}]}

    padded = table.Table.from_pylist([record("a", "x", "1"), record("b", "y", "2")])
    assert None in padded.to_pylist()[0]["messages"][1]["tool_calls"][0]["function"]["arguments"].values()
    parquet.write_table(padded, tmp_path / "padded.parquet")
    rows = load_demonstrations("openai_messages", split="x", path="padded.parquet", root=str(tmp_path))
    assert [calls(row["messages"][1]) for row in rows] == [[("a", {"x": "1"})], [("b", {"y": "2"})]]
    assert [tools(row) for row in rows] == [
        {"a": {"type": "object", "properties": {"x": {"type": "string"}}}},
        {"b": {"type": "object", "properties": {"y": {"type": "string"}}}},
    ]


def test_rows_survive_a_columnar_store():
    datasets = pytest.importorskip("datasets")
    rows = load_demonstrations("hermes_fc", split="singleturn", path="hermes.json", **ROOT)
    for before, after in zip(rows, datasets.Dataset.from_list(rows), strict=True):
        assert after["tools"] == before["tools"]
        for said, kept in zip(before["messages"], after["messages"], strict=True):
            assert calls(kept) == calls(said)


def test_when2call_decisions():
    rows = load_rows("when2call", split="test", path="when2call.jsonl", **ROOT)
    assert [gold(row)["decision"] for row in rows] == ["call", "ask", "refuse", "answer"]
    assert [row["scenario"] for row in rows] == ["single", "missing", "no_tools", "chat"]
    assert gold(rows[0])["calls"] == [{"name": "sea.swim", "arguments": {"beach": "Sozopol", "metres": 9}}]
    assert gold(rows[1])["missing"] == ["beach"]
    assert tools(rows[0])["sea.swim"]["properties"]["metres"] == {"type": "number"}


def test_bfcl_gold():
    first, second = load_rows("bfcl", split="simple_python", **ROOT)
    assert first["id"] == "bfcl/simple_python_0" and first["category"] == "simple_python"
    assert gold(first) == {
        "decision": "call",
        "calls": [{"name": "sea.swim", "arguments": {"beach": "Sozopol", "metres": 100.0, "style": "crawl"}}],
        "accepted": [{"beach": ["Sozopol, Bulgaria"], "style": [None]}],
    }
    # Alternatives inside an object are written out; the fullest object comes first.
    assert gold(second)["calls"][0]["arguments"]["who"] == {"name": "Ana", "cap": "red"}
    assert gold(second)["accepted"][0]["who"] == [{"name": "Ana"}, {"name": "ana", "cap": "red"}, {"name": "ana"}]
    assert "style" not in gold(second)["calls"][0]["arguments"]


def test_bfcl_irrelevance():
    row = load_rows("bfcl", split="irrelevance", **ROOT)[0]
    assert gold(row) == {"decision": "refuse", "calls": [], "decisions": ["refuse", "ask", "answer"]}
    assert load_rows("bfcl", split="live_irrelevance", **ROOT)[0]["scenario"] == "no_tools"


@pytest.mark.parametrize(
    ("values", "required", "text", "expected"),
    [
        (["a", ""], False, True, (["a"], True)),
        (["a", ""], True, True, (["a", ""], False)),
        ([5, ""], True, False, ([5], False)),
        ([None, 3], False, False, ([3], True)),
        ([1, True, 1.0], False, False, ([1, True, 1.0], False)),
        ([""], True, True, ([""], False)),
        ([], False, False, ([], False)),
    ],
)
def test_bfcl_accepted_values(values, required, text, expected):
    real, optional = bfcl._values(values, required, text)
    assert (real, optional) == expected and [type(value) for value in real] == [type(value) for value in expected[0]]


@pytest.mark.parametrize("kind", ["bfcl", "when2call", "tucan_eval"])
def test_a_benchmark_gives_no_training_split(kind):
    with pytest.raises(RowError, match=f"data · {kind} · split · found 'train' · evaluation only"):
        load_rows(kind, split="train", **ROOT)


def test_bfcl_says_what_it_does_not_read():
    with pytest.raises(RowError, match=r"found 'multi_turn_base' · one of .* need BFCL's own runner"):
        load_rows("bfcl", split="multi_turn_base", **ROOT)


def test_tau_bench():
    rows = load_demonstrations("tau_bench", split="airline", **ROOT)
    assert len(rows) == 1 and len(load_demonstrations("tau_bench", split="airline", solved=False, **ROOT)) == 2
    assert roles(rows[0]) == ["system", "user", "assistant", "tool", "assistant"]
    assert calls(rows[0]["messages"][2]) == [("cancel", {"id": "Z9"})] and "tools" not in rows[0]
    with pytest.raises(RowError, match="call · found 'cancel' · list this tool"):
        load_demonstrations("tau_bench", split="airline", tools=str(FIXTURES / "mcp_listing.json"), **ROOT)


def test_tau_bench_few_shot_ends_before_the_lost_call():
    rows = load_demonstrations("tau_bench", split="retail_few_shot", **ROOT)
    assert [[message["content"] for message in row["messages"]] for row in rows] == [
        ["Hello\nthere", "Your zip?"],
        ["A", "B"],
    ]
    assert rows[0]["id"] == "tau_bench/retail_few_shot/1"


def bad(tmp_path, kind, record, **options):
    (tmp_path / "bad.jsonl").write_text(json.dumps(record), encoding="utf-8")
    load = load_rows if kind in ("when2call", "tucan_eval") else load_demonstrations
    return load(kind, path="bad.jsonl", root=str(tmp_path), **options)


@pytest.mark.parametrize(
    ("kind", "split", "record", "message"),
    [
        ("tucan", "train", {"id": 1}, r"bad.jsonl:1 · conversations or .* · found None · give this field"),
        ("tucan", "train", {"turns": [{"from": "user"}]}, r"conversations\[0\] · found .* give a list of"),
        (
            "tucan",
            "train",
            {"turns": [{"from": "boss", "value": ""}]},
            "from · found 'boss' · one of user",
        ),
        (
            "tucan",
            "train",
            {"turns": [{"from": "model", "value": "<tool_code>{}"}]},
            "model · found .* · close every mark",
        ),
        ("tucan", "train", {"turns": [{"from": "user", "value": "x"}]}, "turns · found .* at least one assistant"),
        (
            "hermes_fc",
            "singleturn",
            {"conversations": [{"from": "gpt", "value": "<tool_call>{name: f}</tool_call>"}]},
            "tool_call · found '{name: f}' · give JSON or a Python literal",
        ),
        (
            "hermes_fc",
            "singleturn",
            {"conversations": [{"from": "gpt", "value": '<tool_call>{"name": "f"}</tool_call>'}], "tools": "[]"},
            "call · found 'f' · list this tool",
        ),
        (
            "llama_factory",
            "x",
            {"conversations": [{"from": "observation", "value": "1"}, {"from": "gpt", "value": "1"}]},
            "tool · found '1' · put a call before its result",
        ),
        ("xlam", "train", {"query": "?", "answers": "[]", "tools": "[{"}, "tools · found .* · mend the JSON"),
        (
            "xlam",
            "train",
            {"query": "?", "answers": "[]", "tools": '[{"name": "f"}]'},
            "answers · found .* at least",
        ),
        (
            "xlam",
            "train",
            {"query": "?", "answers": '[{"name": "g"}]', "tools": '[{"name": "f"}]'},
            "answers.name · found 'g' · call a listed tool",
        ),
        (
            "openai_messages",
            "x",
            {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "[1]"}}]}]},
            r"messages\[0\].tool_calls.arguments · found \[1\] · give an object",
        ),
        ("openai_messages", "x", {"messages": [{"role": "boss", "content": ""}]}, r"messages\[0\].role · found 'boss'"),
        ("when2call", "test", {"correct_answer": "maybe"}, "correct_answer · found 'maybe' · one of direct"),
        ("tucan_eval", "test", {"expected_behavior": {}}, "expected_behavior · found {} · give"),
        (
            "tucan_eval",
            "test",
            {"expected_behavior": {"should_call_function": False}, "scenario_type": "x"},
            "scenario_type · found 'x' · one of function_call_required",
        ),
    ],
)
def test_a_malformed_record_says_where_what_and_how(tmp_path, kind, split, record, message):
    with pytest.raises(RowError, match=message) as caught:
        bad(tmp_path, kind, record, split=split)
    assert "bad.jsonl:1 · " in str(caught.value)


def test_the_whole_file_is_checked_or_the_rest_is_taken(tmp_path):
    good = {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}
    lines = [json.dumps(good), json.dumps({"conversations": 3}), json.dumps(good)]
    (tmp_path / "mixed.jsonl").write_text("\n".join(lines), encoding="utf-8")
    options = {"split": "x", "path": "mixed.jsonl", "root": str(tmp_path)}
    with pytest.raises(RowError, match=r"mixed.jsonl:2 · conversations · found 3"):
        load_demonstrations("llama_factory", size=1, **options)
    with pytest.warns(UserWarning, match=r"llama_factory\[x\]: 1 malformed records left out, first .*mixed.jsonl:2"):
        rows = load_demonstrations("llama_factory", skip_malformed=True, **options)
    assert [row["id"] for row in rows] == ["llama_factory/x/1", "llama_factory/x/3"]


def test_a_set_that_is_not_there(monkeypatch):
    monkeypatch.delenv("QUINCE_DATA", raising=False)
    with pytest.raises(RowError, match=r"tau_bench\[airline\] · found no folder · name a file by path, or a folder"):
        load_demonstrations("tau_bench", split="airline")
    with pytest.raises(RowError, match=r"path · found no file at .*none.json · name an existing file"):
        load_demonstrations("llama_factory", split="x", path="none.json", **ROOT)


def test_two_tools_of_one_name():
    tool = {"type": "function", "function": {"name": "f", "description": "", "parameters": {"type": "object"}}}
    other = {"type": "function", "function": {**tool["function"], "description": "Other."}}
    assert len(json.loads(common.tools_column([tool, tool], {}, "f:1"))) == 1
    with pytest.raises(RowError, match=r"f:1 · tools\[1\].name · found 'f' · give each tool a name of its own"):
        common.tools_column([tool, other], {}, "f:1")


def test_the_stop_word_of_the_simulated_user_is_no_text(tmp_path):
    turns = [{"role": "user", "content": "Bye ###STOP###"}, {"role": "assistant", "content": "Bye."}]
    (tmp_path / "t.json").write_text(json.dumps([{"reward": 1.0, "traj": turns}]), encoding="utf-8")
    rows = tau_bench.rows("airline", path="t.json", root=str(tmp_path))
    assert rows[0]["messages"][0]["content"] == "Bye"
