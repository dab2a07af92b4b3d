from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib.resources import files

import numpy as np
import pytest
from quince.eval.engines.base import Completion, Sampling
from quince.eval.measure.evaluate import EvaluationError, evaluate, is_complete
from quince.eval.measure.metrics import measure, per_problem
from quince.eval.measure.problems import Problem
from quince.rewards.base import Reward, Verdict


def plain_chat():
    """The shipped tokenizer, with a template that writes the last message alone."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(files("quince.data") / "tiny")
    tokenizer.chat_template = "{{ messages[-1].content }}"
    return tokenizer


class Echo:
    """An engine that answers from a table of texts, one list of samples per question."""

    name = "echo"

    def __init__(self, table: Mapping[str, list[str]]) -> None:
        self.tokenizer = plain_chat()
        self.table = table
        self.asked: list[str] = []

    def generate(self, prompts, sampling):
        questions = self.tokenizer.batch_decode(prompts)
        self.asked += questions
        return [
            [Completion(t, tuple(map(ord, t)), (-1.0,) * len(t), "stop") for t in self.table[q][: sampling.n]]
            for q in questions
        ]


@dataclass(frozen=True)
class Sum(Reward):
    """1 if the answer, an expression, has the row's value; broken for answers that say so."""

    name = "sum"
    columns = ("answer",)

    def judge(self, completion, row):
        if completion == "boom":
            raise RuntimeError("judge broke")
        if completion == "slow":
            return Verdict(None, "timeout")
        right = sum(map(int, completion.split("+"))) == int(row["answer"])
        return Verdict(float(right), "correct" if right else "wrong")

    def canonical(self, completion, row):
        return "+".join(sorted(completion.split("+")))


def row(name: str, answer: int) -> dict:
    return {"id": name, "task": "sum", "prompt": [{"role": "user", "content": name}], "answer": str(answer)}


ROWS = [row("a", 3), row("b", 5), row("c", 7)]
TABLE = {"a": ["1+2", "2+1", "3", "4"], "b": ["1", "slow", "boom", "5"], "c": ["1", "1", "1", "1"]}


@pytest.fixture
def evaluation():
    return evaluate(ROWS, Sum(), Echo(TABLE), Sampling(n=4), ks=(1, 2, 4))


def test_counts_and_solutions(evaluation):
    a, b, c = evaluation.problems
    assert (a.n, a.correct, a.solutions) == (4, 3, {"1+2": 2, "3": 1})
    assert (b.n, b.drawn, b.correct) == (2, 4, 1)
    assert b.outcomes == {"wrong": 1, "timeout": 1, "error": 1, "correct": 1}
    assert (c.n, c.correct, c.solutions) == (4, 0, {})
    assert len(c.answers) == 1 and c.answers[0].count == 4


def test_unjudged_samples_are_never_zeros(evaluation):
    values = per_problem(evaluation.problems, (1, 4))
    np.testing.assert_allclose(values["pass@1"], [0.75, 0.5, 0])
    np.testing.assert_allclose(values["pass@4"], [1, np.nan, 0])
    np.testing.assert_allclose(values["mean_reward"], [0.75, 0.5, 0])


def test_metrics(evaluation):
    metrics = evaluation.metrics()
    assert metrics["pass@1"].interval.estimate == pytest.approx(1.25 / 3)
    assert (metrics["pass@4"].interval.estimate, metrics["pass@4"].problems) == (0.5, 2)
    assert metrics["greedy"].interval.estimate == pytest.approx(1 / 3)
    assert metrics["distinct_correct"].interval.estimate == pytest.approx(1)
    assert metrics["idiom_entropy"].problems == 2
    assert metrics["outcome/timeout"].interval.estimate == pytest.approx(1 / 12)
    assert sum(m.interval.estimate for n, m in metrics.items() if n.startswith("outcome/")) == pytest.approx(1)


def test_a_column_names_the_cluster_and_intervals_are_over_clusters():
    rows = [row(str(i), 3) | {"cluster": f"c{i // 5}"} for i in range(20)]
    table = {str(i): ["3" if i < 10 else "4"] for i in range(20)}
    clustered = evaluate(rows, Sum(), Echo(table), Sampling(n=1)).metrics()["pass@1"]
    bare = [{k: v for k, v in r.items() if k != "cluster"} for r in rows]
    alone = evaluate(bare, Sum(), Echo(table), Sampling(n=1)).metrics()["pass@1"]
    assert (clustered.over, alone.over) == ("4 clusters of problems", "problems")
    assert clustered.interval.estimate == alone.interval.estimate == 0.5
    assert clustered.interval.high > alone.interval.high + 0.1


def test_problems_survive_json(evaluation):
    for problem in evaluation.problems:
        assert Problem.from_dict(json.loads(json.dumps(asdict(problem)))) == problem


def test_k_beyond_n_is_refused_before_anything_is_asked():
    engine = Echo(TABLE)
    with pytest.raises(EvaluationError, match=r"Pass@8 needs at least 8 samples.*n is 4"):
        evaluate(ROWS, Sum(), engine, Sampling(n=4), ks=(1, 8))
    assert not engine.asked


def test_no_rows_are_refused():
    with pytest.raises(EvaluationError, match="no rows"):
        evaluate([], Sum(), Echo(TABLE), Sampling(n=4))


def test_finished_problems_are_not_asked_again():
    first = evaluate(ROWS[:2], Sum(), Echo(TABLE), Sampling(n=4))

    class Log(list):
        def read(self):
            return list(self)

        append = list.extend

    log, engine, seen = Log(first.problems), Echo(TABLE), []
    again = evaluate(ROWS, Sum(), engine, Sampling(n=4), log=log, progress=seen.append)
    assert set(engine.asked) == {"c"}
    assert again.resumed == 2 and seen == [2, 1]
    assert [p.id for p in again.problems] == ["a", "b", "c"] == [p.id for p in log]


def test_a_greedy_suite_asks_once():
    engine = Echo(TABLE)
    evaluation = evaluate(ROWS, Sum(), engine, Sampling(n=1, temperature=0))
    assert len(engine.asked) == 3
    assert [p.greedy.text for p in evaluation.problems] == ["1+2", "1", "1"]


def test_the_work_around_the_model_is_small():
    rng = np.random.default_rng(0)
    rows = [row(f"{i}", 3) for i in range(250)]
    engine = Echo({r["id"]: [f"{a}+{b}" for a, b in rng.integers(0, 40, (16, 2))] for r in rows})
    start = time.process_time()
    measure(evaluate(rows, Sum(), engine, Sampling(n=16), ks=(1, 4, 16)).problems, (1, 4, 16))
    assert (time.process_time() - start) / 4 < 0.2  # CPU seconds per 1,000 samples


@dataclass(frozen=True)
class Half(Sum):
    """Half the reward for a sum that is off by one."""

    name = "half"

    def judge(self, completion, row):
        off = abs(sum(map(int, completion.split("+"))) - int(row["answer"]))
        return Verdict({0: 1.0, 1: 0.5}.get(off, 0.0), "correct" if off == 0 else "wrong")


def test_part_of_a_reward_is_not_correct():
    (problem,) = evaluate([row("a", 3)], Half(), Echo({"a": ["3", "4", "9", "4"]}), Sampling(n=4)).problems
    assert (problem.correct, problem.n, problem.solutions) == (1, 4, {"3": 1})
    assert sorted(answer.value for answer in problem.answers) == [0.0, 0.5, 1.0]


def test_an_unjudged_greedy_answer_is_neither_right_nor_wrong():
    table = {"a": ["boom", "3"], "b": ["5", "5"]}
    evaluation = evaluate([row("a", 3), row("b", 5)], Sum(), Echo(table), Sampling(n=2))
    np.testing.assert_array_equal(per_problem(evaluation.problems, ())["greedy"], [np.nan, 1])


def test_unjudged_samples_are_counted_with_the_worst_they_could_be(evaluation):
    unjudged = evaluation.unjudged
    assert (unjudged.samples, unjudged.drawn, unjudged.outcomes) == (2, 12, {"timeout": 1, "error": 1})
    assert unjudged.pass_at[1] == pytest.approx((0.75 + 0.25 + 0) / 3)
    assert unjudged.pass_at[4] == pytest.approx(2 / 3)
    assert "2 of 12 answers (16.7 %) are not judged (1 timeout, 1 error" in unjudged.sentence()
    assert "Pass@1 33.3" in unjudged.sentence()


def test_all_judged_is_not_worth_a_sentence():
    evaluation = evaluate([row("a", 3)], Sum(), Echo({"a": ["3", "4"]}), Sampling(n=2))
    assert evaluation.unjudged.sentence() == "" and evaluation.unjudged.pass_at == {1: 0.5}


def test_nothing_judged_is_an_error_with_the_first_reason_and_soon():
    rows, log = [row(str(i), 3) for i in range(200)], SampleLogStub()
    engine = Echo({r["id"]: ["boom"] * 64 for r in rows})
    with pytest.raises(
        EvaluationError, match=r"none of 2048 answers to 32 rows .* 0: .* in judge: RuntimeError: judge b"
    ):
        evaluate(rows, Sum(), engine, Sampling(n=64), log=log)
    assert len(engine.asked) == 64 and not log


class SampleLogStub(list):
    """A log in memory."""

    def read(self):
        return list(self)

    def rewrite(self, problems):
        self[:] = problems

    append = list.extend


def test_a_log_counts_only_with_whole_problems_of_these_rows_once():
    whole = evaluate(ROWS, Sum(), Echo(TABLE), Sampling(n=4)).problems
    short = evaluate(ROWS[1:2], Sum(), Echo(TABLE), Sampling(n=2)).problems[0]
    foreign = replace(whole[0], id="z")
    log, engine = SampleLogStub([whole[0], foreign, whole[0], short]), Echo(TABLE)
    evaluation = evaluate(ROWS, Sum(), engine, Sampling(n=4), log=log)
    assert set(engine.asked) == {"b", "c"} and evaluation.problems == whole
    assert sorted(p.id for p in log) == ["a", "b", "c"]


@pytest.mark.parametrize("change", ["lost", "twice", "foreign", "short"])
def test_done_is_every_row_once_with_all_its_samples(change):
    whole = list(evaluate(ROWS, Sum(), Echo(TABLE), Sampling(n=4)).problems)
    assert is_complete(whole, ROWS, 4)
    short = replace(whole[2], answers=(replace(whole[2].answers[0], count=3),))
    changed = {
        "lost": whole[:2],
        "twice": [*whole[:2], whole[0]],
        "foreign": [*whole[:2], replace(whole[2], id="z")],
        "short": [*whole[:2], short],
    }[change]
    assert not is_complete(changed, ROWS, 4)
    assert not is_complete([*whole, whole[0]], ROWS, 4)


def test_a_prompt_that_is_cut_keeps_its_end():
    class Asked(Echo):
        def generate(self, prompts, sampling):
            self.asked += [self.tokenizer.decode(prompt) for prompt in prompts]
            return [[Completion("3", (1,), (-1.0,), "stop")] * sampling.n for _ in prompts]

    engine = Asked({})
    evaluate([row("one two three four five", 3)], Sum(), engine, Sampling(n=1), longest=3, greedy=False)
    assert engine.asked[0] and "one two three four five".endswith(engine.asked[0]) and "one" not in engine.asked[0]
