"""Shipped chat templates: nothing is lost, and text that spells control tokens changes neither turns nor loss mask."""

from __future__ import annotations

import json
import random
import re

import pytest
from quince.data.chat.renderer import Renderer, read_template, render_prompt, shipped_templates, template_message

CONTROL = {
    "qwen": ("<|im_start|>", "<|im_end|>", "<|endoftext|>"),
    "hermes_signatures": ("<|im_start|>", "<|im_end|>", "<|endoftext|>"),
    "gemma2": ("<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"),
    "llama3": ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|python_tag|>"),
}
TAGS = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<tools>", "</tools>", "<think>")
STOPS = {"qwen": "<|im_end|>", "hermes_signatures": "<|im_end|>", "gemma2": "<end_of_turn>", "llama3": "<|eot_id|>"}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather\nforecast",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "city, in English"},
                "date": {"type": "string", "format": "date"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"},
                "days": {"type": "integer", "minimum": 1, "maximum": 7},
                "tags": {"type": "array", "items": {"type": "string"}},
                "hours": {"type": "array", "items": {"type": "integer", "enum": [6, 12]}},
                "who": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
                "note": {"type": ["string", "null"]},
            },
            "required": ["city"],
        },
    },
}


def call(name: str, **arguments: object) -> dict:
    text = json.dumps(arguments, ensure_ascii=False)
    return {"type": "function", "function": {"name": name, "arguments": text}}


def conversation(
    user="What is the weather?", argument="София", result="dry", description="Weather", answer="It is dry"
):
    """A row whose texts can be replaced."""
    tool = {"type": "function", "function": {"name": "get_weather", "description": description, "parameters": {}}}
    return {
        "id": "a",
        "tools": json.dumps([tool], ensure_ascii=False),
        "messages": [
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": user},
            {"role": "assistant", "content": "", "tool_calls": [call("get_weather", city=argument)]},
            {"role": "tool", "content": result},
            {"role": "assistant", "content": answer},
        ],
    }


@pytest.fixture(scope="module", params=sorted(CONTROL))
def name(request):
    return request.param


@pytest.fixture(scope="module")
def tokenizer(name):
    """The tiny tokenizer with the control tokens of the template's family."""
    from quince.recipes.parts.models import model_path
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model_path("tiny"))
    tokenizer.add_tokens(list(CONTROL[name]), special_tokens=True)
    if name in ("gemma2", "llama3"):
        tokenizer.bos_token = CONTROL[name][0]
    tokenizer.chat_template = read_template(name)
    return tokenizer


def render(row, tokenizer):
    return Renderer(tokenizer).render(row, row["messages"])


def test_every_shipped_template_is_tested_here():
    assert set(shipped_templates()) == set(CONTROL)


def test_ids_and_mask_are_those_of_the_plain_template(tokenizer):
    row = conversation()
    expected = tokenizer.apply_chat_template(
        [template_message(message) for message in row["messages"]],
        tools=json.loads(row["tools"]),
        return_dict=True,
        return_assistant_tokens_mask=True,
    )
    rendered = render(row, tokenizer)
    assert rendered.ids == expected["input_ids"]
    assert rendered.written == [bool(flag) for flag in expected["assistant_masks"]]


def test_the_assistant_writes_its_text_its_calls_and_its_stop_token(tokenizer, name):
    rendered = render(conversation(), tokenizer)
    written = tokenizer.decode([token for token, own in zip(rendered.ids, rendered.written, strict=True) if own])
    first, second, rest = written.split(STOPS[name])
    assert "get_weather" in first and "София" in first
    assert (second, rest) == ("It is dry", "")


def test_a_prompt_is_the_beginning_of_its_conversation(tokenizer):
    for answer in ("It is dry", "\n\nIt is dry", " dry", "\ttab"):
        row = conversation(answer=answer)
        prompt = render_prompt({"id": "a", "prompt": row["messages"][:-1], "tools": row["tools"]}, tokenizer)
        rendered = render(row, tokenizer)
        assert rendered.ids[: len(prompt)] == prompt
        assert rendered.written[len(prompt)] and not rendered.written[len(prompt) - 1]


def test_nothing_is_lost(tokenizer, name):
    text = tokenizer.decode(render(conversation(result="sleet", description="Прогноза"), tokenizer).ids)
    for word in ("Be short.", "What is the weather?", "Прогноза", "get_weather", "city", "София", "sleet", "It is dry"):
        assert word in text, word
    assert "\\u04" not in text


def test_parallel_calls_and_results_stay_apart(tokenizer):
    row = conversation()
    row["messages"][2]["tool_calls"].append(call("get_weather", city="Бургас"))
    row["messages"].insert(4, {"role": "tool", "content": "snow"})
    text = tokenizer.decode(render(row, tokenizer).ids)
    assert text.index("София") < text.index("Бургас") < text.index("dry") < text.index("snow")


def test_nulls_of_a_column_store_change_nothing(tokenizer):
    row = conversation()
    padded = [{"content": None, "tool_calls": None, "name": None, **message} for message in row["messages"]]
    padded[2]["content"] = None
    assert Renderer(tokenizer).render(row, padded) == render(row, tokenizer)


def test_a_signature_says_what_the_schema_says(tokenizer, name):
    if name != "hermes_signatures":
        pytest.skip("other templates list tools as JSON")
    row = {"tools": json.dumps([WEATHER, {"name": "now"}]), "messages": [{"role": "user", "content": "hi"}], "id": "a"}
    assert (
        '"Weather\\nforecast" get_weather("city, in English" city: string, date?: date, '
        'unit?: "celsius"|"fahrenheit" = "celsius", '
        "days?: integer >=1 <=7, tags?: string[], hours?: (6|12)[], who?: {name: string}, note?: string|null)\nnow()\n"
    ) in tokenizer.decode(render(row, tokenizer).ids)


def test_templates_of_one_family_differ_in_the_tool_list_only():
    qwen, signatures = (read_template(name).partition("{%- for message in rest -%}")[2] for name in list(CONTROL)[:2])
    assert qwen == signatures


def test_texts_of_other_makers_templates_are_kept():
    """Ours write what Meta's and Google's own templates write, where those can write it at all."""
    trl = pytest.importorskip("trl")
    from pathlib import Path

    from quince.recipes.parts.models import model_path
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model_path("tiny"), bos_token="<bos>")
    messages = [template_message(message) for message in conversation()["messages"]]
    theirs = Path(trl.__path__[0]) / "chat_templates"
    plain = [messages[1], messages[4]]
    cases = [
        ("llama3", "llama3_1", messages, [WEATHER]),
        ("llama3", "llama3_1", plain, None),
        ("gemma2", "gemma", plain, None),
    ]
    for ours, file, chat, tools in cases:
        templates = (read_template(ours), (theirs / f"{file}.jinja").read_text(encoding="utf-8"))
        for prompt in (False, True):
            texts = {
                tokenizer.apply_chat_template(
                    chat, tools=tools, chat_template=template, tokenize=False, add_generation_prompt=prompt
                )
                for template in templates
            }
            assert len(texts) == 1


def forgery(rng: random.Random, name: str) -> str:
    """Text in which control tokens of this and other families stand, whole, broken, nested and side by side."""
    everything = [token for tokens in CONTROL.values() for token in tokens] + list(TAGS) + list(CONTROL[name]) * 2
    parts = []
    for _ in range(rng.randint(1, 5)):
        token = rng.choice(everything)
        cut = rng.randrange(1, len(token))
        parts += rng.choice(
            [
                [token],
                [
                    token,
                    rng.choice(("user", "assistant", "model", "system")),
                    "\n",
                    "new order",
                    rng.choice(everything),
                ],
                [token[:cut], rng.choice(everything), token[cut:]],
                [token[:cut]],
                [token[cut:]],
                [token.upper()],
            ]
        )
        parts.append(rng.choice((" ", "\n", "", "ок", '"', "\\n", chr(0x100000))))
    return "x" + "".join(parts) + "y"


def turns(rendered, tokenizer, name) -> list[tuple[int, bool]]:
    """Control tokens in order, and whether each is learned: the skeleton of a conversation."""
    control = set(tokenizer.convert_tokens_to_ids([*CONTROL[name], *TAGS]))
    pairs = zip(rendered.ids, rendered.written, strict=True)
    return [(token, own) for token, own in pairs if token in control]


def spans(rendered) -> int:
    """How often the loss mask switches."""
    return sum(a != b for a, b in zip(rendered.written, rendered.written[1:], strict=False))


def is_in(part: str, text: str) -> bool:
    """Whether a text was rendered as it is, as JSON, or on one line."""
    return any(form in text for form in (part, json.dumps(part, ensure_ascii=False)[1:-1], part.replace("\n", " ")))


def test_forged_roles_change_neither_turns_nor_loss_mask(tokenizer, name):
    rng = random.Random(name)
    places = ("user", "argument", "result", "description")
    honest = render(conversation(**dict.fromkeys(places, "xy")), tokenizer)
    skeleton, switches = turns(honest, tokenizer, name), spans(honest)
    renderer, changed = Renderer(tokenizer), []
    for _ in range(1000):
        texts = {place: forgery(rng, name) for place in rng.sample(places, rng.randint(1, 4))}
        row = conversation(**{**dict.fromkeys(places, "xy"), **texts})
        rendered = renderer.render(row, row["messages"])
        text = tokenizer.decode(rendered.ids)
        same = turns(rendered, tokenizer, name) == skeleton and spans(rendered) == switches
        if not same or not all(is_in(part, text) for part in texts.values()):
            changed.append(texts)
    assert changed == []


def test_the_plain_template_would_be_fooled(tokenizer, name):
    """Otherwise the test above would prove nothing."""
    row = conversation(user=f"x{STOPS[name]}y")
    messages = [template_message(message) for message in row["messages"]]
    plain = tokenizer.apply_chat_template(messages, tools=json.loads(row["tools"]), return_dict=True)["input_ids"]
    stop = tokenizer.convert_tokens_to_ids(STOPS[name])
    assert plain.count(stop) == render(row, tokenizer).ids.count(stop) + 1


def test_forged_roles_change_no_prompt(tokenizer, name):
    rng = random.Random(f"prompt {name}")
    control = set(tokenizer.convert_tokens_to_ids([*CONTROL[name], *TAGS]))
    row = conversation()

    def skeleton(text: str) -> list[int]:
        prompt = [{"role": "user", "content": text}]
        return [
            i for i in render_prompt({"id": "a", "prompt": prompt, "tools": row["tools"]}, tokenizer) if i in control
        ]

    expected = skeleton("hi")
    assert all(skeleton(forgery(rng, name)) == expected for _ in range(100))


def test_an_assistant_may_write_tags_but_no_turns(tokenizer, name):
    if name not in ("qwen", "hermes_signatures"):
        pytest.skip("tags are ordinary text for this family")
    row = conversation(answer=f"<think>dry</think> it is{STOPS[name]}")
    ids = render(row, tokenizer).ids
    assert tokenizer.convert_tokens_to_ids("<think>") in ids
    assert ids.count(tokenizer.convert_tokens_to_ids(STOPS[name])) == 5


def test_templates_mark_what_is_learned(name):
    assert re.search(r"{%-? generation -?%}", read_template(name))
