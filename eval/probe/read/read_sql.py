"""Text-to-SQL rows as slots (words of the question, names of the schema in it) and outputs (parts of the query).

Fields: `asks`, `aggregate`, `superlative`, `grouping`, `order`, `negation`, `comparison`, `both`, `distinct`, `values`,
`tables` and `columns` (how many the question names), `db_id`, `template`, `quirks`; outputs `skeleton` (clauses),
`aggregates`, `joins`, `set_operation`, `nested`, `ordered`, `fingerprint`.
"""

from __future__ import annotations

import re
import warnings
from functools import lru_cache
from typing import Any

from ....data.rows import Row
from ....data.sql.sql_fingerprint import fingerprint

_AGGREGATES = {
    "count": r"how many|number of|count",
    "avg": r"average|mean\b",
    "sum": r"total|sum\b|altogether",
    "max": r"maximum|highest|largest|biggest|most recent|latest|oldest",
    "min": r"minimum|lowest|smallest|fewest|least|earliest|youngest",
}
_WORDS = {
    "superlative": r"most|least|top|best|highest|lowest|largest|smallest|oldest|youngest|longest|shortest|fewest",
    "grouping": r"each|every|per|for all|by the number",
    "order": r"order|sorted|sort|alphabetical\w*|ascending|descending|lexicographic\w*",
    "negation": r"not|no|without|never|except|don't|doesn't|didn't|did not|neither|but not",
    "comparison": r"more than|greater|at least|less than|above|below|over|under|between|before|after|older|younger"
    r"|higher|lower|larger|smaller|exceed\w*|at most",
    "both": r"both|and also|as well as|either|in common|shared",
    "distinct": r"different|distinct|unique",
}
_OPENINGS = re.compile(r"how many|what|which|who|where|when|find|list|show|give|return|count|how")
_QUESTION = re.compile(r"^Question: (.*?)(?:\n\n|\Z)", re.M | re.S)


def record(row: Row) -> dict[str, Any]:
    """View of a row with `gold_sql`; of several gold queries, the first.

    Raises:
        ValueError: It has none, or sqlglot cannot read it.
    """
    sql = row.get("gold_sql")
    sql = sql[0] if isinstance(sql, list) and sql else sql
    if not isinstance(sql, str) or not sql:
        raise ValueError("no gold_sql · this reader takes rows of text-to-SQL")
    question, schema = _parts(row)
    asked = question.lower()
    aggregate = [name for name, words in _AGGREGATES.items() if re.search(rf"\b(?:{words})", asked)]
    tables, names = _tables(schema), {word.lower() for word in re.findall(r"[A-Za-z_]\w*", schema)}
    return {
        "question": question,
        "asks": opening[0] if (opening := _OPENINGS.match(asked)) else "other",
        "aggregate": aggregate,
        **{name: bool(re.search(rf"\b(?:{words})\b", asked)) for name, words in _WORDS.items()},
        "values": len(re.findall(r"""["'“‘][^"'”’]+["'”’]|\b\d[\d.,]*\b""", question)),
        "tables": len({name for name in tables if _named(name, asked)}),
        "columns": len({name for name in names - tables if _named(name, asked)}),
        "schema_tables": len(tables),
        "db_id": row.get("db_id"),
        "template": row.get("template"),
        "quirks": sorted(q for q in str(row.get("quirks") or "").split(",") if q),
        **_query(sql),
    }


def _parts(row: Row) -> tuple[str, str]:
    """Question and schema of a prompt, in the full or the compact form."""
    messages = row.get("prompt") or row.get("messages") or [{"content": ""}]
    text = next((m["content"] for m in messages if m.get("role") == "user"), messages[0]["content"])
    marked = _QUESTION.search(text)
    if marked:
        return marked[1].strip(), text[: marked.start()]
    schema, _, question = text.rpartition("\n")
    return question.strip(), schema


def _tables(schema: str) -> set[str]:
    found = re.findall(r"CREATE TABLE\s+[\"`\[]?(\w+)", schema, re.I) or re.findall(r"^(\w+)\(", schema, re.M)
    return {name.lower() for name in found}


def _named(name: str, question: str) -> bool:
    """Whether a question names a table or column: all of its words, plural or not."""
    words = [word for word in re.split(r"[_\W]+", name) if len(word) > 2]
    return bool(words) and all(word.rstrip("s") in question for word in words)


@lru_cache(maxsize=50_000)
def _query(sql: str) -> dict[str, Any]:
    from sqlglot import ErrorLevel, exp, parse_one
    from sqlglot.errors import SqlglotError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = parse_one(sql.rstrip("; "), dialect="sqlite", error_level=ErrorLevel.RAISE)
    except SqlglotError as error:
        raise ValueError(f"gold_sql {sql[:60]!r} cannot be parsed ({str(error).splitlines()[0]})") from None
    top = tree.find(exp.Select) or tree
    clauses = [name for name in ("where", "group", "having", "order", "limit") if top.args.get(name)]
    sets = [type(node).__name__.lower() for node in tree.find_all(exp.Union, exp.Except, exp.Intersect)]
    selects = list(tree.find_all(exp.Select))
    joins = sum(len(select.args.get("joins") or ()) for select in selects)
    kinds = (exp.Count, exp.Avg, exp.Sum, exp.Max, exp.Min)
    return {
        "skeleton": " ".join(["select", *clauses]),
        "aggregates": sorted({type(node).__name__.lower() for node in tree.find_all(*kinds)}),
        "joins": min(joins, 3),
        "set_operation": "+".join(sorted(set(sets))) or "none",
        "nested": len(selects) > 1 + len(sets),
        "ordered": "limit" if top.args.get("limit") else "order" if top.args.get("order") else "none",
        "fingerprint": fingerprint(sql),
    }
