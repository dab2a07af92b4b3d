"""The scorer of function calls on replies in words: ask, refuse, answer, and in which language."""

from __future__ import annotations

import pytest
from quince.data.function_calling.wire.calls import Call, dump
from quince.data.function_calling.wire.formats import render_calls
from quince.rewards.function_calling.call_scoring import score
from quince.rewards.function_calling.function_call import FunctionCall, graded

WEATHER = Call("get_weather", {"city": "Sofia"})
TOOL = {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}


def row(decision, language="bg", **gold):
    return {"id": "r", "task": "function_call", "language": language, "tools": dump([TOOL]),
            "prompt": [{"role": "user", "content": "Кажи ми времето."}],
            "gold": dump({"decision": decision, **gold})}  # fmt: skip


ASK_ROW = row("ask", missing=["date"], mentions={"date": ["дата", "ден", "кога"]})
REFUSE_ROW = row("refuse")
ANSWER_ROW = row("answer", contains=["21", "София"])


@pytest.mark.parametrize(
    ("sample", "reply", "error", "decision"),
    [
        (ASK_ROW, "За коя дата?", "", "ask"),
        (ASK_ROW, "Моля, кажи ми датата.", "", "ask"),
        (ASK_ROW, "Не мога без дата. За кога?", "", "ask"),
        (ASK_ROW, "За колко души?", "wrong_slot", "ask"),
        (ASK_ROW, "За дата или за друго", "wrong_decision", "answer"),
        (ASK_ROW, "Which date?", "wrong_slot", "ask"),
        (ASK_ROW, "What is the дата?", "wrong_language", "ask"),
        (ASK_ROW, "С какво да помогна?", "wrong_decision", "answer"),
        (ASK_ROW, "Нямам инструмент за това.", "wrong_decision", "refuse"),
        (ASK_ROW, render_calls([WEATHER]), "unwarranted_call", "call"),
        (ASK_ROW, "", "mute", "none"),
        (REFUSE_ROW, "Не мога да направя това с инструментите, които имам.", "", "refuse"),
        (REFUSE_ROW, "Съжалявам, но нямам подходящ инструмент. Искаш ли да помогна с друго?", "", "refuse"),
        (REFUSE_ROW, "I cannot do that.", "wrong_language", "refuse"),
        (REFUSE_ROW, "Готово!", "wrong_decision", "answer"),
        (REFUSE_ROW, "Кой град?", "wrong_decision", "ask"),
        (REFUSE_ROW, render_calls([WEATHER]), "unwarranted_call", "call"),
        (REFUSE_ROW, "Не мога. " + render_calls([WEATHER]), "unwarranted_call", "call"),
        (REFUSE_ROW, "Не мога. " + render_calls([WEATHER], "tucan"), "format", "none"),
        (REFUSE_ROW, "```tool_call\n{}\n```", "format", "none"),
        (REFUSE_ROW, "", "mute", "none"),
        (ANSWER_ROW, "В София е 21 градуса.", "", "answer"),
        (ANSWER_ROW, "В София е 21,5 градуса.", "not_grounded", "answer"),
        (ANSWER_ROW, "В София е 121 градуса.", "not_grounded", "answer"),
        (ANSWER_ROW, "София: 21. Искаш ли и за утре?", "", "answer"),
        (ANSWER_ROW, "Времето е хубаво.", "not_grounded", "answer"),
        (ANSWER_ROW, "In София it is 21 degrees and that is warm.", "wrong_language", "answer"),
        (ANSWER_ROW, '{"София": 21}', "", "answer"),
        (row("answer"), '{"София": 21}', "no_decision", "none"),
    ],
)  # fmt: skip
def test_replies_in_words(sample, reply, error, decision):
    found = score(reply, sample)
    assert (found.error, found.decision) == (error, decision)
    assert found.exact == (not error)


@pytest.mark.parametrize(
    ("text", "decision"),
    [
        ("Which city do you mean?", "ask"),
        ("I need to know this: the date.", "ask"),
        ("Sorry, I have no tool for that.", "refuse"),
        ("I’m afraid I can’t do that.", "refuse"),
        ("I don't have any suitable tool.", "refuse"),
        ("Hello! What can I do for you?", "answer"),
        ("I am well, thank you. How are you?", "answer"),
        ("I won't be able to help with that.", "refuse"),
        ("Sorry, there was an error: not found.", "answer"),
        ("Кажете ми датата.", "ask"),
        ("Това не е възможно.", "refuse"),
        ("Nenne mir bitte das Datum.", "ask"),
        ("Welcher Tag?", "ask"),
        ("Das kann ich leider nicht.", "refuse"),
        ("Dafür habe ich kein passendes Werkzeug.", "refuse"),
        ("Hallo! Wie kann ich dir helfen?", "answer"),
        ("Здравей! С какво да помогна?", "answer"),
        ("Здравей!", "answer"),
    ],
)
def test_decisions_in_three_languages(text, decision):
    assert score(text, row("answer", language="")).decision == decision


def test_a_set_may_accept_several_decisions():
    either = row("refuse", language="", decisions=["refuse", "ask", "answer"])
    for reply in ("I cannot.", "Which one?", "Berlin."):
        assert score(reply, either).exact
    for reply in ("", render_calls([WEATHER]), "{}", "<tool_call>"):
        assert not score(reply, either).exact


def test_an_unknown_language_is_not_judged():
    assert score("I cannot do that.", row("refuse", language="")).language_ok is None


def test_words_of_the_prompt_may_be_repeated_in_any_language():
    prompt = [{"role": "user", "content": "Пусни Paradise Lost"}]
    sample = row("answer", contains=["Paradise Lost"])
    assert score("Пускам Paradise Lost.", sample | {"prompt": prompt}).exact
    values = FunctionCall()([prompt], ["Пускам Paradise Lost."], gold=[row("answer")["gold"]], language=["bg"])
    assert values == [1.0]


def test_grades_of_words():
    asks = ["", render_calls([WEATHER]), "Готово.", "Колко души?", "What is the дата?", "Коя дата?"]
    assert [round(7 * graded(score(reply, ASK_ROW))) for reply in asks] == [-7, -7, -5, 1, 4, 7]
