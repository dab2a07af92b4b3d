"""The tool library and the language packs: complete, and clear about what is not."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
import yaml
from quince.data.function_calling.check.schema import argument_problems, check_tool
from quince.data.function_calling.generator import rows
from quince.data.function_calling.mocks import MOCKS, run
from quince.data.function_calling.say import packs
from quince.data.function_calling.say.library import FILE, load_library, read_library
from quince.data.function_calling.say.packs import FOLDER, languages, load_pack, read_pack
from quince.data.function_calling.say.slots import draw, say
from quince.data.function_calling.say.transliteration import latin
from quince.data.function_calling.tool_lists import NAME_STYLES, styled, tools_json
from quince.data.rows import RowError

LIBRARY = load_library()
CODE = (
    "generator grammar library mocks pack_checks pack_model packs plans scenarios generator_settings slots "
    "tool_lists requests"
)


def schema_of(tool: str) -> dict:
    (found,) = yaml.safe_load(tools_json([tool], "snake", None))
    return found["function"]["parameters"]


def test_the_library_is_large_typed_and_has_look_alikes():
    assert len(LIBRARY.tools) >= 25
    assert {slot.type for slot in LIBRARY.slots.values()} == {
        "string", "integer", "number", "boolean", "array", "object",
    }  # fmt: skip
    assert {slot.policy for slot in LIBRARY.slots.values()} == {
        "verbatim", "enum", "iso", "number", "boolean", "translit", "translate", "list", "object",
    }  # fmt: skip
    assert sum(len(near) > 0 for near in LIBRARY.near.values()) >= 20


@pytest.mark.parametrize("tool", LIBRARY.tools)
def test_a_tool_has_a_valid_schema_a_mock_and_answers(tool):
    rng = random.Random(tool)
    for style in NAME_STYLES:
        for listed in yaml.safe_load(tools_json([tool], style, None)):
            check_tool(listed, tool)
    for language in languages():
        pack = load_pack(language)
        for _ in range(20):
            arguments = {
                name: draw(parameter.kind, rng, pack, False)
                for name, parameter in LIBRARY.tools[tool].parameters.items()
            }
            assert argument_problems(arguments, schema_of(tool)) == []
            assert run(tool, arguments) == run(tool, arguments)
            told = pack.intents[tool].result
            assert set(told.slots) <= set(run(tool, arguments)) | set(LIBRARY.tools[tool].required)


def test_every_mock_has_its_tool():
    assert set(MOCKS) == set(LIBRARY.tools)


def test_styles_of_names():
    assert [styled("get_air_quality", style) for style in NAME_STYLES] == [
        "get_air_quality", "getAirQuality", "get.air_quality", "get-air-quality",
    ]  # fmt: skip


def test_towns_are_transliterated_officially():
    kind = LIBRARY.slots["town"]
    pack, rng = load_pack("bg"), random.Random(0)
    parameter = LIBRARY.tools["get_weather"].parameters["city"]
    for _ in range(400):
        value = draw(kind, rng, pack, rng.random() < 0.5)
        assert latin(say(parameter, value, "", rng, pack), "bg") == value
    table = pack.section("towns")
    assert (table["Sofia"], table["Targovishte"]) == ("София", "Търговище")


def test_no_code_of_the_generator_names_a_language():
    folder = Path(packs.__file__).parents[1]
    for name in CODE.split():
        (file,) = folder.rglob(f"{name}.py")
        text = file.read_text(encoding="utf-8")
        found = set(re.findall(r'"(bg|de)"', text))
        # The default languages of the two entry points.
        assert found <= ({"bg"} if name in ("generator", "generator_settings") else set()), name


def test_a_language_is_added_by_a_file(tmp_path, monkeypatch):
    text = (FOLDER / "de.yaml").read_text(encoding="utf-8").replace("language: de", "language: nds", 1)
    for path in FOLDER.glob("*.yaml"):
        (tmp_path / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "nds.yaml").write_text(text, encoding="utf-8")
    monkeypatch.setattr(packs, "FOLDER", tmp_path)
    assert {row["language"] for row in rows("train", 30, languages=("nds",))} == {"nds"}


MONDAY = '    monday: {"": понеделник, on: в понеделник}\n'


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("refuse:\n", "refusals:\n", "refuse · missing"),
        ("call: {imp: набери, you: набереш,", "call: {imp: набери,", "verbs.call.you · missing"),
        (MONDAY, "    monday: понеделник\n", "lexicon.day.monday.on · missing"),
        ("red: червено, ", "", "lexicon.color.red · missing"),
        ('    ask: ["Кой град?"]\n', "", "parameters.city.ask · missing"),
        ('ask: ["Кой град?"]', 'ask: ["Коя страна?"]', "use one of its mentions"),
        ("    verbs: [play, put_on, hear]", "    verbs: [play, put_no, hear]", "found 'put_no'"),
        ('    result: "Номерът е {phone}."\n', "", "intents.find_contact.result · missing"),
        ('hotel: "хотел"', 'hotel: "хoтел"', "found 'o'"),
        ("form: imp, join:", "form: imperative, join:", "found 'imperative'"),
        ("  get_forecast:\n    verbs", "  get_forecasts:\n    verbs", "intents.get_forecast · missing"),
        ('objects: {table: "маса"', 'object: {table: "маса"', "found 'object'"),
        ('{text: "полет {flight}"', '{text: "полет {fligth}"', "found slot 'fligth'"),
    ],
)
def test_what_a_pack_lacks_is_told(tmp_path, old, new, message):
    text = (FOLDER / "bg.yaml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "bg.yaml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(RowError) as caught:
        read_pack(path)
    assert message in str(caught.value)
    assert str(caught.value).startswith("bg.yaml · ")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("parameters: {city: {slot: town}, day:", "parameters: {city: {slot: twon}, day:", "found 'twon'"),
        ("policy: translit", "policy: transliterate", "found 'transliterate'"),
        ("vary: [city, day]", "vary: [city, dya]", "found 'dya'"),
        ("second: call_number", "second: call_phone", "found 'call_phone'"),
        ('sampler: town, description: "city, in English"', "sampler: town", "slots.town · description · missing"),
        ("tools:\n  get_weather", "tools: [\n  get_weather", "not YAML"),
    ],
)
def test_what_is_wrong_with_a_library_is_told(tmp_path, old, new, message):
    text = FILE.read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "tools.yaml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(RowError, match=re.escape(message)):
        read_library(path)
