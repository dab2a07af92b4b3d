r"""Math benchmarks: GSM8K, MATH, MATH-500, AIME 2024, AMC 2023, OlympiadBench, Minerva, College Math, SVAMP.

Rows have ``id`` (a digest of the question, wherever it is from), ``task``, ``prompt`` (the question and one line
that asks for ``\boxed{}``), ``answer`` (gold, LaTeX without dollar signs) and the columns named beside each source.

Rows come from a local folder where one is named (``root``, or ``QUINCE_DATA``), otherwise from the Hub at ``revision``:
a fixed commit for GSM8K, MATH and MATH-500, the newest for the rest. A recipe that trains on a test set has to say
``split: test``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from .. import files, hub
from ..rows import Row
from .boxed import last_boxed

INSTRUCTION = "Reason step by step, and put your final answer within \\boxed{}."

Record = Mapping[str, Any]


def _asked(record: Record, where: str) -> str:
    return str(files.field(record, ("question", "problem"), where)).strip()


@dataclass(frozen=True)
class Benchmark(hub.PublicSet):
    """A data source: where one benchmark is, and how one of its records becomes a row.

    Attributes:
        gold: Final answer of a record, given the record and its place.
        question: Question of a record, given the same.
        columns: Further columns of the row.
    """

    provides: ClassVar[tuple[str, ...]] = ("answer",)

    gold: Callable[[Record, str], str]
    question: Callable[[Record, str], str] = _asked
    columns: Callable[[Record], dict[str, str]] = lambda record: {}
    about: str = field(default="A public set of math problems with final answers, for evaluation.", kw_only=True)

    def __call__(
        self,
        split: str,
        size: int | None = None,
        seed: int = 0,
        *,
        root: str | None = None,
        revision: str | None = None,
        instruction: str = INSTRUCTION,
    ) -> list[Row]:
        """Rows of a split.

        Args:
            split: One of ``splits``.
            size: Number of rows, drawn with ``seed`` and kept in file order; default all.
            seed: Seed of the draw.
            root: Local folder to read instead of the Hub.
            revision: Commit on the Hub to read instead of the default one.
            instruction: Last line of the prompt.

        Raises:
            RowError: If the split is unknown, the files cannot be had, or a record is malformed.
        """
        rows: list[Row] = []
        copies: dict[str, int] = {}
        for where, record in self.records(split, root, revision):
            question = self.question(record, where)
            digest = hashlib.sha256(question.encode()).hexdigest()[:12]
            copies[digest] = copy = copies.get(digest, 0) + 1
            rows.append(
                {
                    "id": f"{self.task}/{split}/{digest}" + (f"-{copy}" if copy > 1 else ""),
                    "task": self.task,
                    "prompt": [{"role": "user", "content": f"{question}\n\n{instruction}"}],
                    "answer": self.gold(record, where),
                    **self.columns(record),
                }
            )
        return files.take(rows, size, seed, f"data · {self.task}[{split}]")


def _after_hashes(record: Record, where: str) -> str:
    """GSM8K: the number after ``####``, without thousands separators."""
    solution = str(files.field(record, ("answer",), where))
    _, mark, answer = solution.rpartition("####")
    if not mark or not answer.strip():
        raise files.malformed(where, "answer", solution[-60:], "end it with '#### <number>'", record)
    return answer.strip().replace(",", "")


def _boxed(record: Record, where: str) -> str:
    r"""The last ``\boxed{}`` of the solution."""
    solution = str(files.field(record, ("solution",), where))
    answer = last_boxed(solution)
    if answer is None:
        raise files.malformed(where, "solution", solution[-60:], "give the answer in \\boxed{}", record)
    return answer


def _plain(record: Record, where: str) -> str:
    """The field ``answer``; whole numbers that were stored as floats lose their ``.0``."""
    answer = files.field(record, ("answer", "Answer"), where)
    if isinstance(answer, float) and answer.is_integer():
        answer = int(answer)
    return _without_dollars(str(answer))


def _story(record: Record, where: str) -> str:
    """SVAMP: the story, then what is asked about it."""
    return " ".join(str(files.field(record, (name,), where)).strip() for name in ("Body", "Question"))


def _plain_or_boxed(record: Record, where: str) -> str:
    return _boxed(record, where) if record.get("answer") is None else _plain(record, where)


def _joined(record: Record, where: str) -> str:
    """OlympiadBench: ``final_answer``, a list of strings each of which may hold several answers."""
    answers = files.field(record, ("final_answer",), where)
    if not isinstance(answers, list) or not answers or not all(isinstance(text, str) for text in answers):
        raise files.malformed(where, "final_answer", answers, "give a non-empty list of strings", record)
    return ",".join(_without_dollars(text) for text in answers)


def _without_dollars(text: str) -> str:
    r"""LaTeX without its math delimiters; an escaped dollar (``\$``) is money and stays."""
    return re.sub(r"(?<!\\)\$", "", text).strip()


def _text(record: Record, *names: str) -> str:
    return next((str(record[name]) for name in names if record.get(name) is not None), "")


def _subject_and_level(record: Record) -> dict[str, str]:
    return {"subject": _text(record, "subject", "type"), "level": _text(record, "level").removeprefix("Level ")}


def _olympiad_columns(record: Record) -> dict[str, str]:
    return {"subject": _text(record, "subfield")} | {name: _text(record, name) for name in ("unit", "answer_type")}


# train 7473, test 1319.
gsm8k = Benchmark(
    "gsm8k",
    {"train": ("gsm8k/train",), "test": ("gsm8k/test",)},
    "openai/gsm8k",
    _after_hashes,
    configs=("main",),
    revision="740312add88f781978c0658806c59bc2815b9866",
    about="Grade-school word problems (hf.co/papers/2110.14168).",
)

# train 7500, test 5000; columns subject, level. The answer is the last box of the solution, as the
# field scores it: 48 solutions have several different boxes (several answers, or one in two forms).
# Two solutions of train have an empty box; their answer is empty and a grader skips it. Two problems of
# train are also in test; MATH-500 is inside test and shares none with train.
math = Benchmark(
    "math",
    {"train": ("math/train",), "test": ("math/test",)},
    "EleutherAI/hendrycks_math",
    _boxed,
    columns=_subject_and_level,
    configs=tuple(
        "algebra counting_and_probability geometry intermediate_algebra number_theory prealgebra precalculus".split()
    ),
    revision="21a5633873b6a120296cce3e2df9d5550074f4a3",
    about="The MATH data set, full official split (hf.co/papers/2103.03874).",
)

# test 500; columns subject, level.
math500 = Benchmark(
    "math500",
    {"test": ("math500/test",)},
    "HuggingFaceH4/MATH-500",
    _plain,
    columns=_subject_and_level,
    revision="6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be",
)

# test 30: AIME 2024 I and II; answers are whole numbers from 0 to 999.
_AIME = {"test": ("math_eval/aime24", "aime24/test")}
aime24 = Benchmark("aime24", _AIME, "HuggingFaceH4/aime_2024", _plain, hub_splits={"test": "train"})

# test 40: AMC 12 of 2023 with numeric answers.
amc23 = Benchmark("amc23", {"test": ("math_eval/amc23", "amc23/test")}, "math-ai/amc23", _plain)

# test 675 (the Hub's copy: 674): English, mathematics, text only. Columns subject, answer_type and
# unit (TeX, empty if there is none; no part of the answer). Several answers are joined by commas.
olympiadbench = Benchmark(
    "olympiadbench",
    {"test": ("math_eval/olympiadbench", "olympiadbench/test")},
    "Hothan/OlympiadBench",
    _joined,
    columns=_olympiad_columns,
    configs=("OE_TO_maths_en_COMP",),
    hub_splits={"test": "train"},
)

# test 272: the OCW courses; the answer is the box inside the solution.
_MINERVA = {"test": ("math_eval/minerva_math", "minerva_math/test")}
minerva_math = Benchmark("minerva_math", _MINERVA, "math-ai/minervamath", _plain_or_boxed)

# test 2818; column subject.
college_math = Benchmark(
    "college_math",
    {"test": ("math_eval/college_math", "college_math/test")},
    "di-zhang-fdu/College_Math_Test",
    _plain,
    columns=lambda record: {"subject": _text(record, "data_topic")},
)

# test 1000, the whole set, as math suites use it (the Hub's copy calls 300 of them test).
svamp = Benchmark("svamp", {"test": ("math_eval/svamp", "svamp/test")}, "ChilleD/SVAMP", _plain, _story)
