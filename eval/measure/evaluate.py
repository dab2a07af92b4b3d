"""Samples n completions of every problem, judges them, and logs what is done."""

from __future__ import annotations

import json
import os
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

from ...data.chat.renderer import render_prompts
from ...data.rows import Row
from ...rewards.base import Reward, Verdict
from ..engines.base import Completion, Engine, Sampling
from .metrics import Metric, measure
from .problems import Answer, Problem, SampleLog, Unjudged

_SAMPLES_AT_ONCE = 2_048
_REFERENCE_CHARACTERS = 2_000
_ROWS_TO_JUDGE = 32
"""Rows after which an evaluation in which nothing was judged is given up."""


class EvaluationError(ValueError):
    """An evaluation that cannot be done as asked."""


@dataclass(frozen=True)
class Evaluation:
    """One model on one suite; problems are in the order of the rows.

    Attributes:
        seconds: Wall time of "generate" and "reward" in this process.
        resumed: Problems taken from an earlier, interrupted run.
    """

    problems: tuple[Problem, ...]
    sampling: Sampling
    ks: tuple[int, ...]
    seconds: dict[str, float] = field(default_factory=dict)
    resumed: int = 0
    kl: dict[str, Metric] = field(default_factory=dict)

    @property
    def unjudged(self) -> Unjudged:
        """The samples that could not be judged."""
        return Unjudged.of(self.problems, self.ks)

    def metrics(self) -> dict[str, Metric]:
        """Return every metric with its interval over problems."""
        return measure(self.problems, self.ks) | self.kl


def evaluate(
    rows: Sequence[Row],
    reward: Reward,
    engine: Engine,
    sampling: Sampling,
    ks: Sequence[int] = (1,),
    *,
    greedy: bool = True,
    longest: int | None = None,
    log: SampleLog | None = None,
    progress: Callable[[int], None] | None = None,
) -> Evaluation:
    """Evaluate a model on rows with the columns that the reward needs.

    A completion is correct when its value is the top of the reward's range; a value of None takes the sample out of n
    for its problem and is counted by outcome. Where a column `cluster` names what a problem shares with others,
    intervals are over clusters. `greedy` also takes one greedy completion per problem. Prompts of more than `longest`
    tokens lose their beginning. `log` keeps finished problems, so that an interrupted evaluation continues where it
    stopped; `progress` is called with the number of problems just finished.

    Raises:
        EvaluationError: There are no rows, a k is larger than n, or nothing could be judged.
    """
    _check(rows, sampling, ks)
    done = _resumed(log, rows, sampling.n) if log else {}
    if progress and done:
        progress(len(done))
    pending = [row for row in rows if row["id"] not in done]
    seconds: defaultdict[str, float] = defaultdict(float)
    size = max(1, _SAMPLES_AT_ONCE // sampling.n)
    for chunk in (pending[start : start + size] for start in range(0, len(pending), size)):
        problems = _answer_and_judge(chunk, reward, engine, sampling, greedy, longest, seconds)
        done.update((p.id, p) for p in problems)
        if len(done) >= min(len(rows), _ROWS_TO_JUDGE):
            _require_judged(done.values())
        if log:
            log.append(problems)
        if progress:
            progress(len(chunk))
    resumed = len(rows) - len(pending)
    return Evaluation(tuple(done[row["id"]] for row in rows), sampling, tuple(ks), dict(seconds), resumed)


def judge(
    rows: Sequence[Row], reward: Reward, sampled: Sequence[Sequence[Completion]], greedy: Sequence[Sequence[Completion]]
) -> list[Problem]:
    """Judge completions, each distinct text of a row once, and return a problem per row."""
    keys = list(
        dict.fromkeys(
            (index, completion.text)
            for index, (some, best) in enumerate(zip(sampled, greedy, strict=True))
            for completion in (*some, *best)
        )
    )
    verdicts = reward.judge_batch([text for _, text in keys], [rows[index] for index, _ in keys])
    judged = {
        (index, text): (verdict, reward.canonical(text, rows[index]) if _correct(verdict, reward) else None)
        for (index, text), verdict in zip(keys, verdicts, strict=True)
    }
    problems = []
    for index, row in enumerate(rows):
        answers = tuple(_answer(c, n, reward, *judged[index, c.text]) for c, n in _distinct(sampled[index]))
        best = [_answer(c, 1, reward, *judged[index, c.text]) for c in greedy[index]]
        cluster = None if row.get("cluster") is None else str(row["cluster"])
        shown = _question(row), _reference(row, reward)
        problems.append(Problem(row["id"], row["task"], *shown, answers, best[0] if best else None, cluster))
    return problems


def _check(rows: Sequence[Row], sampling: Sampling, ks: Sequence[int]) -> None:
    if not rows:
        raise EvaluationError("evaluation: there are no rows; check the data source, its split and its size")
    if ks and max(ks) > sampling.n:
        raise EvaluationError(
            f"ks: Pass@{max(ks)} needs at least {max(ks)} samples a problem, sampling.n is {sampling.n}; "
            f"raise n or drop this k"
        )


def is_complete(problems: Sequence[Problem], rows: Sequence[Row], n: int) -> bool:
    """Whether there is exactly one problem with all its samples for every row, and no other."""
    asked = {row["id"] for row in rows}
    return len(problems) == len(asked) == len({p.id for p in problems} & asked) and all(p.drawn == n for p in problems)


def _resumed(log: SampleLog, rows: Sequence[Row], n: int) -> dict[str, Problem]:
    """The complete, judged problems of these rows in the log, by id; all others are removed from it."""
    asked, found = {row["id"] for row in rows}, log.read()
    done = {p.id: p for p in reversed(found) if p.id in asked and p.drawn == n and p.n}
    if len(done) < len(found):
        log.rewrite(list(done.values()))
    return done


def _require_judged(problems: Collection[Problem]) -> None:
    unjudged = Unjudged.of(list(problems), ())
    if unjudged.samples == unjudged.drawn:
        raise EvaluationError(
            f"evaluation · none of {unjudged.drawn} answers to {len(problems)} rows could be judged · the first is "
            f"{unjudged.first} · mend the reward or the rows and evaluate again"
        )


def _answer_and_judge(
    rows: Sequence[Row],
    reward: Reward,
    engine: Engine,
    sampling: Sampling,
    greedy: bool,
    longest: int | None,
    seconds: defaultdict[str, float],
) -> list[Problem]:
    """Return the problems of some rows; adds the time taken to `seconds`."""
    started = time.perf_counter()
    prompts = render_prompts(rows, engine.tokenizer, longest=longest)
    sampled = engine.generate(prompts, sampling)
    best = _greedy_answers(engine, prompts, sampling, sampled) if greedy else [[] for _ in rows]
    generated = time.perf_counter()
    problems = judge(rows, reward, sampled, best)
    seconds["generate"] += generated - started
    seconds["reward"] += time.perf_counter() - generated
    return problems


def _greedy_answers(
    engine: Engine, prompts: list[list[int]], sampling: Sampling, sampled: list[list[Completion]]
) -> list[list[Completion]]:
    if sampling.greedy:
        return sampled
    return engine.generate(prompts, replace(sampling, n=1, temperature=0.0, top_p=1.0))


def _distinct(completions: Sequence[Completion]) -> list[tuple[Completion, int]]:
    """Group equal completions; the first one stands for its group."""
    counts = Counter(c.token_ids for c in completions)
    firsts = {c.token_ids: c for c in reversed(completions)}
    return [(firsts[ids], count) for ids, count in counts.items()]


def _answer(completion: Completion, count: int, reward: Reward, verdict: Verdict, solution: str | None) -> Answer:
    return Answer(
        text=completion.text,
        count=count,
        value=verdict.value,
        outcome=verdict.outcome,
        correct=_correct(verdict, reward),
        solution=solution,
        tokens=len(completion.token_ids),
        logprob=None if completion.logprobs is None else round(sum(completion.logprobs), 4),
        truncated=completion.finish_reason == "length",
        detail=verdict.detail,
    )


def _correct(verdict: Verdict, reward: Reward) -> bool:
    return verdict.value is not None and verdict.value >= reward.range[1]


def _question(row: Row) -> str:
    asked = [m["content"] for m in row["prompt"] if m["role"] == "user" and isinstance(m["content"], str)]
    return asked[-1] if asked else ""


def _reference(row: Row, reward: Reward) -> dict[str, str]:
    """The columns that the reward compares with; of an absolute path only its last part."""
    shown = {}
    for column in reward.columns:
        value = row.get(column)
        if isinstance(value, str):
            shown[column] = os.path.basename(value) if os.path.isabs(value) else value[:_REFERENCE_CHARACTERS]
        elif value is not None:
            shown[column] = json.dumps(value)[:_REFERENCE_CHARACTERS]
    return shown
