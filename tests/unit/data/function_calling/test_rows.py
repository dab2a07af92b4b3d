"""Properties of generated rows in bulk: valid, unharmed by a columnar store, right by the scorer, new."""

import json
import os
import random
import re
from pathlib import Path

import pytest
import quince
from quince.data.function_calling import mocks
from quince.data.function_calling.check.corruptions import corruptions
from quince.data.function_calling.check.validators import problems
from quince.data.function_calling.generator import demonstrations, rows
from quince.data.function_calling.generator_settings import SPLITS
from quince.data.function_calling.wire.calls import of_message
from quince.data.function_calling.wire.formats import FORMATS, render_calls
from quince.data.rows import check_rows
from quince.rewards.function_calling.call_scoring import score

LANGUAGES = ("en", "bg", "de")
ESCAPE = re.compile(r"\\u0[4-9a-f][0-9a-f]{2}", re.IGNORECASE)
MIXED = {"masking": 0.5, "descriptions": "mixed", "name_style": "mixed"}


def languages_of(split):
    return ("en", "bg") if split == "language" else LANGUAGES


def bulk(size):
    """As many rows as ``size``: prompts of every split and conversations of several requests."""
    each = size // (2 * len(SPLITS))
    found = []
    for split in SPLITS:
        found += rows(split, each, seed=11, languages=languages_of(split), **MIXED)
        found += demonstrations(split, each, seed=11, languages=languages_of(split), requests=2, **MIXED)
    return found


@pytest.fixture(scope="module")
def some():
    return bulk(400)


def arguments(row):
    """Texts of the arguments of every call that was made, in order."""
    messages = row.get("prompt") or row["messages"]
    calls = [call for message in messages for call in message.get("tool_calls") or ()]
    return [call["function"]["arguments"] for call in calls]


def through_arrow(found):
    """The rows after a columnar store, without the nulls that stand for absent columns and keys."""
    from datasets import Dataset

    return [
        {
            column: [{key: part for key, part in message.items() if part is not None} for message in value]
            if isinstance(value, list)
            else value
            for column, value in row.items()
            if value is not None
        }
        for row in Dataset.from_list(found)
    ]


def user_words(row):
    """Words of each user's text, without case, punctuation and spacing."""
    messages = row.get("prompt") or row["messages"]
    return [words(message["content"]) for message in messages if message["role"] == "user"]


def words(text):
    return re.findall(r"\w+", text.casefold())


def runs(found, length=8):
    """Every run of words; a shorter text is one run."""
    return {tuple(found[start : start + length]) for start in range(max(1, len(found) - length + 1)) if found}


def assert_sound(found):
    check_rows(found, "generated")
    for row in found:
        assert problems(row, execute=mocks.run) == []
        assert not ESCAPE.search(json.dumps(row, ensure_ascii=False))


def assert_store_keeps(found):
    # A store has the columns of its first row: prompts and conversations are two sets.
    prompts, talks = ([row for row in found if column in row] for column in ("prompt", "messages"))
    stored = through_arrow(prompts) + through_arrow(talks)
    assert stored == prompts + talks
    for row in stored:
        decoded = [json.loads(text) for text in arguments(row)]
        decoded += [call["arguments"] for call in json.loads(row["gold"])["calls"]]
        assert all(value is not None for values in decoded for value in values.values())


def test_rows_are_sound(some):
    assert_sound(some)


def test_a_columnar_store_keeps_rows_as_they_are(some):
    assert_store_keeps(some)


@pytest.mark.slow
def test_ten_thousand_rows_are_sound_and_survive_a_columnar_store():
    found = bulk(10_000)
    assert len(found) == 10_000
    assert_sound(found)
    assert_store_keeps(found)
    # Prompts and conversations are drawn apart, and so may say the same thing now and then.
    prompts = [row for row in found if "prompt" in row]
    keys = {(*map(tuple, user_words(row)), *sorted(json.loads(row["provenance"])["tool_ids"])) for row in prompts}
    assert len(keys) == len(prompts)


def test_the_right_turn_is_right_by_the_scorer_in_every_format(some):
    talks = [row for row in some if "messages" in row]
    assert len(talks) == 200
    for row in talks:
        turn, prompt = row["messages"][-1], row["messages"][:-1]
        for name in FORMATS:
            text = render_calls(of_message(turn), name) if turn.get("tool_calls") else turn["content"]
            found = score(text, row | {"prompt": prompt}, name)
            assert found.exact, (row["id"], name, text, found.error)


def test_nothing_wrong_is_right_by_the_scorer_in_any_format(some):
    for row in some[::2]:
        prompt = row.get("prompt") or row["messages"][:-1]
        for wrong in corruptions(row, random.Random(row["id"])):
            # In OpenAI's form arguments are a JSON string, so that one is Hermes' alone.
            for name in FORMATS:
                text = render_calls(of_message(wrong.message), name) if wrong.tool_calls else wrong.content
                assert not score(text, row | {"prompt": prompt}, name).exact, (wrong, name)


def test_prompts_hold_letters_and_no_escapes(some):
    transformers = pytest.importorskip("transformers")
    from quince.data.chat.renderer import Renderer

    tokenizer = transformers.AutoTokenizer.from_pretrained(Path(quince.__file__).parent / "data" / "tiny")
    bulgarian = [row for row in some if row["language"] == "bg"][:60]
    for row in bulgarian:
        ids = Renderer(tokenizer).render(row, row.get("prompt") or row["messages"]).ids
        text = tokenizer.decode(ids)
        assert re.search("[а-я]", text)
        assert not ESCAPE.search(text)


@pytest.mark.skipif(not os.environ.get("QUINCE_DATA"), reason="QUINCE_DATA is unset")
@pytest.mark.parametrize(
    ("kind", "splits"), [("bfcl", ["simple_python", "multiple", "parallel", "live_multiple", "irrelevance"])]
)
def test_generated_rows_are_not_questions_of_an_evaluation_set(some, kind, splits):
    from quince.data.sources import load_rows

    questions = []
    for split in splits:
        for row in load_rows(kind, split=split):
            questions += [message["content"] for message in row["prompt"] if message["role"] == "user"]
    assert len(questions) > 1000
    known = set().union(*(runs(words(question)) for question in questions))
    assert not known & set().union(*(runs(said) for row in some for said in user_words(row)))
