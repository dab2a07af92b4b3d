"""Tasks of lm-eval as suites, with a problem for every document.

lm-eval makes prompts, few-shot examples and scores; completions come from our engines, and statistics, records,
comparisons and boards are those of every other suite. Imports lm-eval when a task is run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..measure.evaluate import EvaluationError
from ..measure.problems import Answer, Problem

if TYPE_CHECKING:
    from ..engines.base import Engine
    from .retention_tasks import LoadedTask

_TEXT = 2_000


def run_task(
    loaded: LoadedTask,
    engine: Engine,
    answers: Path,
    *,
    max_tokens: int,
    max_length: int,
    chat_template: bool = False,
    seed: int = 0,
    run_code: bool = False,
) -> list[Problem]:
    """Run a task and return a problem for each document.

    This model's answers so far are in the file `answers`; `max_tokens`, for tasks that do not set it, and `max_length`
    are those of `EngineModel`. With `run_code` a task may run what the model writes.

    Raises:
        EvaluationError: The task has no such metric or filter, or no metric that is a mean over documents.
    """
    from lm_eval.evaluator import evaluate

    from .harness_model import AnswerLog, EngineModel

    greedy = loaded.task.get_config("output_type") == "loglikelihood" or "exact_match" in loaded.task.aggregation()
    model = EngineModel(engine, AnswerLog(answers), max_tokens, max_length, greedy, seed)
    found = evaluate(
        model,
        {"tasks": {loaded.name: loaded.task}, "groups": {}},
        limit=loaded.limit,
        bootstrap_iters=0,
        apply_chat_template=chat_template,
        fewshot_as_multiturn=chat_template,
        confirm_run_unsafe_code=run_code,
    )
    return _problems(loaded, found["samples"][loaded.name], engine.tokenizer)


def _problems(loaded: LoadedTask, samples: Sequence[Mapping[str, Any]], tokenizer: Any) -> list[Problem]:
    chosen = loaded.wanted.filter or samples[0]["filter"]
    kept = [sample for sample in samples if sample["filter"] == chosen]
    if not kept:
        filters = ", ".join(dict.fromkeys(sample["filter"] for sample in samples))
        raise EvaluationError(f"retention.tasks · {loaded.name} · filter {chosen!r} · one of {filters}")
    metric = _metric(loaded, kept[0])
    copies: Counter[str] = Counter()
    problems = []
    for sample in kept:
        digest = sample["doc_hash"][:12]
        copies[digest] += 1
        name = f"{loaded.name}/{digest}" + (f"-{copies[digest]}" if copies[digest] > 1 else "")
        problems.append(_problem(name, loaded, sample, float(sample[metric]), tokenizer))
    return problems


def _problem(name: str, loaded: LoadedTask, sample: Mapping[str, Any], value: float, tokenizer: Any) -> Problem:
    text, right = _said(sample), value >= 1.0
    tokens = len(tokenizer.encode(text, add_special_tokens=False))
    answer = Answer(text, 1, value, "correct" if right else "wrong", right, None, tokens, None, False)
    question = str(sample["arguments"][0][0])[-_TEXT:]
    field = loaded.wanted.cluster
    if field is not None and field not in sample["doc"]:
        fields = ", ".join(sample["doc"])
        raise EvaluationError(f"retention.tasks · {loaded.name} · cluster {field!r} · a field of a document: {fields}")
    cluster = None if field is None else str(sample["doc"][field])
    reference = {"target": str(sample["target"])[:_TEXT]}
    return Problem(name, loaded.name, question, reference, (answer,), None, cluster)


def _said(sample: Mapping[str, Any]) -> str:
    """The text of an answer: what was generated, the likeliest choice, or a given text if it is greedy."""
    given, asked = sample["filtered_resps"], sample["arguments"]
    first = given[0]
    if isinstance(first, str):
        return first
    if isinstance(first, float):  # the log-likelihood of a whole text
        return str(asked[0][0])[-_TEXT:]
    if first and isinstance(first[0], str):  # several texts
        return first[0]
    if len(given) == 1:
        return str(asked[0][1]) if first[1] else ""
    best = max(range(len(given)), key=lambda index: given[index][0])
    return str(asked[best][1]).strip() or str(asked[best][0])[-_TEXT:]


def _metric(loaded: LoadedTask, sample: Mapping[str, Any]) -> str:
    """The metric to use: a number per document, higher is better, whose mean the task reports."""
    from lm_eval.api.metrics import mean

    means, better = loaded.task.aggregation(), loaded.task.higher_is_better()
    usable = [
        name
        for name in sample["metrics"]
        if isinstance(sample[name], Real) and means.get(name) is mean and better.get(name, True)
    ]
    wanted = loaded.wanted.metric
    if usable and wanted in (None, *usable):
        return wanted or usable[0]
    found = "no metric that is a mean over documents" if wanted is None else repr(wanted)
    raise EvaluationError(f"retention.tasks · {loaded.name} · found {found} · one of {', '.join(usable) or 'none'}")
