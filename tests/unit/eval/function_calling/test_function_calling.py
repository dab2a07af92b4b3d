from __future__ import annotations

import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quince.data.function_calling.generator import demonstrations, rows
from quince.data.function_calling.wire.calls import of_message
from quince.data.function_calling.wire.formats import FORMATS, render_calls
from quince.data.sources import load_rows
from quince.eval.engines.base import Completion
from quince.eval.function_calling.baselines import BASELINES, filled
from quince.eval.function_calling.call_analysis import analyse, cases
from quince.eval.function_calling.call_rates import SCENARIOS, Report, Share, below_baselines, f1_scores
from quince.eval.function_calling.call_tables import ALL, differences
from quince.eval.function_calling.cases import Case
from quince.eval.measure.evaluate import judge
from quince.eval.measure.statistics import paired_difference
from quince.rewards.base import make_reward


def case(number: int, wanted: str = "call", found: str = "call", right: bool = True, **more) -> Case:
    given = {"scenario": "single", "language": "en", "split": "values", "tolerant": right} | more
    return Case(id=f"r{number}", wanted=wanted, found=found, right=right, **given)


def report_of(conversations, answers, form="hermes"):
    return Report(tuple(cases(conversations, answers, form)))


def gold_answers(conversations, form="hermes"):
    """Prompt rows and their right answers, out of whole conversations."""
    prompts, answers = [], []
    for row in conversations:
        *before, last = row["messages"]
        prompts.append({k: v for k, v in row.items() if k != "messages"} | {"prompt": before})
        calls = of_message(last)
        answers.append(render_calls(calls, form) if calls else last["content"])
    return prompts, answers


@pytest.fixture(scope="module")
def generated():
    return rows("values", 300, seed=5)


def test_shares_are_counted_by_scenario_language_and_split():
    report = Report(
        (
            case(0),
            case(1, right=False),
            case(2, scenario="missing", language="bg"),
            case(3, scenario="own", language="bg", split="names"),
        )
    )
    assert report.accuracy == Share(3, 4)
    assert report.scenarios == {"single": Share(1, 2), "missing": Share(1, 1), "own": Share(1, 1)}
    assert list(report.scenarios) == ["single", "missing", "own"]
    assert report.languages == {"bg": Share(2, 2), "en": Share(1, 2)}
    assert report.splits == {"names": Share(1, 1), "values": Share(2, 3)}
    assert report.decisions["single"] == Share(2, 2)


def test_f1_of_a_small_confusion_by_hand():
    scores = f1_scores({("call", "call"): 3, ("call", "ask"): 1, ("ask", "ask"): 1, ("ask", "none"): 1})
    assert scores == {"call": pytest.approx(6 / 7), "ask": pytest.approx(2 / 4)}


def test_macro_f1_is_over_decisions_that_are_wanted():
    report = Report((case(0), case(1), case(2, "ask", "refuse", False)))
    interval = report.macro_f1
    assert interval.estimate == pytest.approx(0.5)
    assert 0 <= interval.low <= interval.estimate <= interval.high <= 1
    assert report.confusion == {("call", "call"): 2, ("ask", "refuse"): 1}
    assert Report(()).macro_f1 is None


def test_rates_have_the_right_denominators():
    report = Report(
        (
            case(0, calls=True, language_right=True, arguments={"enum": (1, 2), "iso": (1, 1)}),
            case(1, right=False, calls=True, invented_tool=True, tolerant=False, error="hallucinated_tool"),
            case(2, found="none", right=False, tolerant=True, problems=("not_json: x",), error="format"),
            case(3, "ask", "ask", asked=True, language_right=True),
            case(4, "ask", "ask", right=False, asked=False, language_right=False, error="wrong_slot"),
            case(5, "ask", "answer", right=False, language_right=True, error="wrong_slot"),
        )
    )
    assert report.calls == Share(1, 2)
    assert report.asked == Share(1, 2)
    assert report.invented_tools == Share(1, 2)
    assert report.wrong_language == Share(1, 4)
    assert report.format_problems == Share(1, 6)
    assert (report.accuracy, report.tolerant) == (Share(2, 6), Share(3, 6))
    assert report.arguments == {"enum": Share(1, 2), "iso": Share(1, 1)}
    assert next(iter(report.errors.items())) == ("wrong_slot", 2)


def test_an_empty_report_has_no_intervals():
    report = Report(())
    assert report.accuracy.interval is None
    assert report.scenarios == report.arguments == report.trivial == report.best_trivial == {}
    assert report.sampled is None and below_baselines(report) == []


def test_a_scenario_below_a_baseline_is_named_with_the_best_one():
    trivial = {"mute": False, "first tool": True}
    judged = [case(i, right=i < 2, trivial=trivial) for i in range(4)]
    report = Report((*judged, case(9, scenario="chat", trivial=trivial)))
    assert below_baselines(report) == ["single"]
    assert report.best_trivial["single"] == ("first tool", Share(4, 4)) and report.scenarios["single"] == Share(2, 4)


def test_models_are_compared_on_the_rows_they_share():
    base = Report(tuple(case(i, right=i < 2) for i in range(10)))
    other = Report(tuple(case(i, right=i != 0, scenario="single") for i in range(8)))
    found = differences(base, other)
    assert found[ALL].estimate == pytest.approx(5 / 8)
    assert found[ALL] == paired_difference([1, 0, 0, 0, 0, 0, 0, 1], [0, 1, 1, 1, 1, 1, 1, 1])
    assert found["single"] == found[ALL]
    assert differences(base, Report(())) == {}


def test_cases_survive_json():
    whole = case(
        1, arguments={"iso": (1, 2)}, problems=("unclosed: x",), asked=True, sampled=0.5, trivial={"mute": True}
    )
    assert Case.from_dict(json.loads(json.dumps(whole.as_dict()))) == whole


def test_baselines_answer_every_row_in_every_format(generated):
    for row in generated:
        for form in FORMATS:
            answers = {name: answer(row, form) for name, answer in BASELINES.items()}
            assert all(isinstance(text, str) for text in answers.values())
            assert answers["mute"] == ""
            without = {k: v for k, v in row.items() if k != "gold"}
            assert answers == {name: answer(without, form) for name, answer in BASELINES.items()}


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, max_examples=60)
@given(text=st.text(max_size=60), schema=_JSON, name=st.text(min_size=1, max_size=6))
def test_baselines_never_raise(text, schema, name):
    tools = [{"type": "function", "function": {"name": name, "description": text, "parameters": schema}}]
    row = {"id": "x", "prompt": [{"role": "user", "content": text}], "tools": json.dumps(tools)}
    for answer in BASELINES.values():
        for form in FORMATS:
            assert isinstance(answer(row, form), str)


def test_slots_are_filled_with_what_the_question_seems_to_name():
    schema = {
        "properties": {
            "city": {"type": "string"},
            "guests": {"type": "integer"},
            "unit": {"enum": ["celsius", "fahrenheit"]},
            "day": {"type": "string", "format": "date"},
            "names": {"type": "array", "items": {"type": "number"}},
        }
    }
    text = "Book in New Sofia for 3 guests on 2027-01-02, in Fahrenheit, 4.5 each"
    assert filled(schema, list(schema["properties"]), text) == {
        "city": "New Sofia",
        "guests": 3,
        "unit": "fahrenheit",
        "day": "2027-01-02",
        "names": [4.5],
    }


def test_a_mute_model_never_beats_chance(generated):
    report = report_of(generated, [""] * len(generated))
    assert report.accuracy.right == 0
    chance = sum(share.right for share in report.trivial["random"].values())
    assert chance > 0
    assert set(below_baselines(report)) and not any(share.right for share in report.trivial["mute"].values())
    assert report.macro_f1.estimate == 0
    assert report.errors == {"mute": len(generated)}


@pytest.mark.parametrize("form", FORMATS)
def test_a_perfect_model_gets_everything(form):
    prompts, answers = gold_answers(demonstrations("test", 250, seed=3), form)
    report = report_of(prompts, answers, form)
    wrong = [(c.id, c.error) for c in report.cases if not c.right]
    assert wrong == []
    assert set(report.scenarios) == set(SCENARIOS)
    for shares in (report.scenarios, report.decisions, report.languages, report.splits, report.arguments):
        assert all(share.right == share.of > 0 for share in shares.values())
    assert report.macro_f1.estimate == 1
    assert report.asked.right == report.asked.of > 0
    assert report.invented_tools.right == report.wrong_language.right == report.format_problems.right == 0
    assert below_baselines(report) == [] and not report.errors


def test_format_and_skill_are_told_apart():
    prompts, answers = gold_answers(demonstrations("values", 60, seed=3, scenarios=["single"]), "tucan")
    report = report_of(prompts, answers, "hermes")
    assert report.accuracy == Share(0, 60)
    assert report.tolerant == Share(60, 60)
    assert report.format_problems == Share(60, 60)
    assert report.errors == {"format": 60}


def test_rows_without_gold_are_left_out(generated):
    bare = [{k: v for k, v in row.items() if k != "gold"} for row in generated[:3]]
    assert report_of(bare + generated[3:5], [""] * 5).accuracy.of == 2


@pytest.mark.parametrize("grading", ["binary", "graded"])
def test_samples_are_reported_beside_the_greedy_answer(grading):
    prompts, answers = gold_answers(demonstrations("values", 20, seed=2))
    reward = make_reward("function_call", grading=grading)
    right = [Completion(text, (1, number), None, "stop") for number, text in enumerate(answers)]
    wrong = Completion("", (2,), None, "stop")
    problems = judge(prompts, reward, [[c, wrong, wrong, c] for c in right], [[c] for c in right])
    report = Report(tuple(Case.from_dict(case) for case in analyse(prompts, problems, reward)))
    assert report.accuracy == Share(20, 20)
    assert report.sampled == 0.5


@pytest.mark.skipif("QUINCE_DATA" not in os.environ, reason="needs the public sets")
@pytest.mark.parametrize(("kind", "split", "size"), [("bfcl", "single_turn", 400), ("when2call", "test", None)])
def test_public_sets_can_be_reported(kind, split, size):
    asked = load_rows(kind, split=split, size=size)
    report = report_of(asked, [BASELINES["keyword"](row, "hermes") for row in asked])
    assert report.accuracy.of == len(asked)
    assert sum(share.right for share in report.trivial["mute"].values()) == 0
    assert [c.right for c in report.cases] == [c.trivial["keyword"] for c in report.cases]
