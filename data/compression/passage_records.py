"""Records of public sets as passages with their questions, in the forms of the Hub and of the sets' own files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from .. import files

Record = Mapping[str, Any]
Placed = Sequence[tuple[str, Record]]
"""Records, each with its place for messages."""
Question = dict[str, Any]
Passage = tuple[str, list[Question]]
"""A text with its questions."""
Pairs = list[tuple[str, str, str]]
"""Question, how it is answered at length, final answer."""


def squad(records: Placed) -> Iterator[Passage]:
    """SQuAD and XQuAD: one question a record (Hub), or articles of paragraphs (the sets' own JSON)."""
    if not any("paragraphs" in record for _, record in records):
        yield from _grouped(
            (files.field(record, ("context",), where), _asked(record["question"], record["answers"]["text"]))
            for where, record in records
        )
        return
    for where, article in records:
        for paragraph in files.field(article, ("paragraphs",), where):
            items = [(item["question"], [answer["text"] for answer in item["answers"]]) for item in paragraph["qas"]]
            if asked := [_asked(question, answers) for question, answers in items if answers]:
                yield paragraph["context"], asked


def multirc(records: Placed) -> Iterator[Passage]:
    """MultiRC: one answer a record (SuperGLUE on the Hub), or whole passages; right answers are accepted ones."""
    if any("passage" in record for _, record in records):
        for _, record in records:
            items = record["passage"]["questions"]
            rights = [[answer["text"] for answer in item["answers"] if answer["label"]] for item in items]
            pairs = zip(items, rights, strict=True)
            yield record["passage"]["text"], [_asked(item["question"], answers) for item, answers in pairs if answers]
        return
    right: dict[tuple[str, str], list[str]] = {}
    for where, record in records:
        if record["label"]:
            key = (files.field(record, ("paragraph",), where), files.field(record, ("question",), where))
            right.setdefault(key, []).append(record["answer"])
    yield from _grouped((text, _asked(question, answers)) for (text, question), answers in right.items())


def boolq(records: Placed) -> Iterator[Passage]:
    """BoolQ: a passage and a question with the answer yes or no."""
    yield from _grouped(
        (
            files.field(record, ("passage",), where),
            _asked(f"{str(record['question']).rstrip('?')}?", ["yes" if record["answer"] else "no"]),
        )
        for where, record in records
    )


def qmsum(records: Placed) -> Iterator[Passage]:
    """QMSum: meetings with general and specific queries (its own JSON lines), or as LongBench has it."""
    if any("input" in record for _, record in records):
        yield from long_bench(records)
        return
    for where, record in records:
        turns = files.field(record, ("meeting_transcripts",), where)
        queries = [*(record.get("general_query_list") or ()), *(record.get("specific_query_list") or ())]
        yield (
            "\n".join(f"{turn['speaker']}: {turn['content']}" for turn in turns),
            [_asked(item["query"], [item["answer"]]) for item in queries],
        )


def long_bench(records: Placed) -> Iterator[Passage]:
    """LongBench: a context, an input that asks, and accepted answers."""
    yield from _grouped(
        (
            files.field(record, ("context",), where),
            _asked(files.field(record, ("input", "question"), where), files.field(record, ("answers",), where)),
        )
        for where, record in records
    )


def gsm8k(records: Placed) -> Pairs:
    """GSM8K: question, worked solution, number."""
    found = []
    for where, record in records:
        solution, mark, answer = str(files.field(record, ("answer",), where)).rpartition("####")
        if not mark:
            raise files.malformed(where, "answer", answer[-60:], "end it with '#### <number>'", record)
        number = answer.strip().replace(",", "")
        found.append((str(record["question"]).strip(), f"{solution.strip()} The answer is {number}.", number))
    return found


def csqa(records: Placed) -> Pairs:
    """CommonsenseQA: question with its choices; the answer is a letter. It has no worked solutions."""
    found = []
    for where, record in records:
        question, key = files.field(record, ("question",), where), record.get("answerKey")
        stem = question["stem"] if isinstance(question, Mapping) else question
        choices = question["choices"] if isinstance(question, Mapping) else _columns(record["choices"])
        if key:
            listed = " ".join(f"({choice['label']}) {choice['text']}" for choice in choices)
            found.append((f"{stem} {listed}", f"The answer is ({key}).", str(key)))
    return found


def _columns(table: Record) -> list[dict[str, str]]:
    return [{"label": label, "text": text} for label, text in zip(table["label"], table["text"], strict=True)]


def _asked(question: str, answers: Sequence[str]) -> Question:
    distinct = list(dict.fromkeys(answer.strip() for answer in answers))
    accepted = {"accepted": distinct} if len(distinct) > 1 else {}
    return {"question": question.strip(), "answer": distinct[0], **accepted}


def _grouped(pairs: Iterable[tuple[str, Question]]) -> Iterator[Passage]:
    """Questions by their text, in order of first appearance."""
    found: dict[str, list[Question]] = {}
    for text, question in pairs:
        found.setdefault(text, []).append(question)
    yield from found.items()
