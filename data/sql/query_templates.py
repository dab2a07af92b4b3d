"""Question templates of ``sql_idioms``: one question, several natural ways to write its SQL.

The reading of every question is fixed: parents are told apart by id, each counts once, and all
parents that share the extreme value are meant. The gold query says exactly that and is not among
the idioms; each idiom says something that is the same only while some quirk is absent.
"""

from __future__ import annotations

from dataclasses import dataclass

from .databases import Schema

# What a base model, which does not know the quirks, writes: shares of an idiom by its rank.
BASE_MIXTURE = (0.35, 0.30, 0.20, 0.15)
LIMITS = (20, 30, 40, 70, 80)


@dataclass(frozen=True)
class Idiom:
    """One way to write the query, and the quirks that break it."""

    name: str
    sql: str
    breaks: frozenset[str]


@dataclass(frozen=True)
class Template:
    """A question with its gold query and idioms; rank 0 is the idiom that training favours.

    Texts hold ``{p}`` parent, ``{c}`` child, ``{n}`` name column, ``{k}`` key column, ``{x}`` number
    column and ``{v}`` limit, and ``{join}`` for the joined tables.
    """

    name: str
    question: str
    gold: str
    idioms: tuple[Idiom, ...]

    @property
    def needs_number(self) -> bool:
        """Whether the question is about a number column."""
        return "{x}" in self.question

    @property
    def needs_limit(self) -> bool:
        """Whether the question names a limit."""
        return "{v}" in self.question


@dataclass(frozen=True)
class Question:
    """A template filled for one schema."""

    template: Template
    schema: Schema
    number: str
    limit: int | None

    @property
    def name(self) -> str:
        """Stable name within its database."""
        return "/".join((self.template.name, self.number, *([str(self.limit)] if self.limit else [])))

    def prompt(self) -> str:
        """Schema and question, as the model sees them."""
        return f"{self.schema.prompt()}\n{self.fill(self.template.question)}"

    def fill(self, text: str) -> str:
        """Put the names of the schema into a text of the template."""
        schema = self.schema
        join = f"{schema.parent} JOIN {schema.child} ON {schema.parent}.id = {schema.key}"
        return text.format(
            p=schema.parent, c=schema.child, n=schema.name, k=schema.key, x=self.number, v=self.limit, join=join
        )


def _idiom(name: str, breaks: str, sql: str) -> Idiom:
    return Idiom(name, sql, frozenset(breaks.split()))


TEMPLATES: tuple[Template, ...] = (
    Template(
        "with_child",
        "Which {p} has any {c}?",
        "SELECT {n} FROM {join} GROUP BY {p}.id",
        (
            _idiom("distinct_join", "homonyms", "SELECT DISTINCT {n} FROM {join}"),
            _idiom("in", "repeats", "SELECT {n} FROM {p} WHERE id IN (SELECT {k} FROM {c})"),
            _idiom("join", "repeats fan_out", "SELECT {n} FROM {join}"),
            _idiom("exists", "repeats", "SELECT {n} FROM {p} WHERE EXISTS (SELECT * FROM {c} WHERE {k} = {p}.id)"),
        ),
    ),
    Template(
        "without_child",
        "Which {p} has no {c}?",
        "SELECT {n} FROM {p} WHERE NOT EXISTS (SELECT * FROM {c} WHERE {k} = {p}.id) GROUP BY id",
        (
            _idiom("except", "homonyms", "SELECT {n} FROM {p} EXCEPT SELECT {n} FROM {join}"),
            _idiom("left_join", "repeats", "SELECT {n} FROM {p} LEFT JOIN {c} ON {p}.id = {k} WHERE {k} IS NULL"),
            _idiom("not_in", "repeats orphans", "SELECT {n} FROM {p} WHERE id NOT IN (SELECT {k} FROM {c})"),
        ),
    ),
    Template(
        "count_with_child",
        "Count every {p} with any {c}.",
        "SELECT COUNT(DISTINCT {p}.id) FROM {join}",
        (
            _idiom("distinct_join", "homonyms", "SELECT COUNT(DISTINCT {n}) FROM {join}"),
            _idiom("in", "repeats", "SELECT COUNT(*) FROM {p} WHERE id IN (SELECT {k} FROM {c})"),
            _idiom("child_only", "orphans", "SELECT COUNT(DISTINCT {k}) FROM {c}"),
            _idiom("join", "repeats fan_out", "SELECT COUNT(*) FROM {join}"),
        ),
    ),
    Template(
        "count_without_child",
        "Count every {p} with no {c}.",
        "SELECT COUNT(DISTINCT id) FROM {p} WHERE NOT EXISTS (SELECT * FROM {c} WHERE {k} = {p}.id)",
        (
            _idiom(
                "distinct_left_join",
                "homonyms",
                "SELECT COUNT(DISTINCT {n}) FROM {p} LEFT JOIN {c} ON {p}.id = {k} WHERE {k} IS NULL",
            ),
            _idiom("left_join", "repeats", "SELECT COUNT(*) FROM {p} LEFT JOIN {c} ON {p}.id = {k} WHERE {k} IS NULL"),
            _idiom("not_in", "repeats orphans", "SELECT COUNT(*) FROM {p} WHERE id NOT IN (SELECT {k} FROM {c})"),
        ),
    ),
    Template(
        "highest",
        "Which {p} has the highest {x}?",
        "SELECT {n} FROM {p} WHERE {x} = (SELECT MAX({x}) FROM {p}) GROUP BY id",
        (
            _idiom("limit", "ties", "SELECT {n} FROM {p} ORDER BY {x} DESC LIMIT 1"),
            _idiom("max", "repeats", "SELECT {n} FROM {p} WHERE {x} = (SELECT MAX({x}) FROM {p})"),
            _idiom(
                "none_higher",
                "repeats nulls",
                "SELECT {n} FROM {p} WHERE NOT EXISTS (SELECT * FROM {p} AS other WHERE other.{x} > {p}.{x})",
            ),
        ),
    ),
    Template(
        "lowest",
        "Which {p} has the lowest {x}?",
        "SELECT {n} FROM {p} WHERE {x} = (SELECT MIN({x}) FROM {p}) GROUP BY id",
        (
            _idiom("limit", "ties", "SELECT {n} FROM {p} WHERE {x} > 0 ORDER BY {x} LIMIT 1"),
            _idiom("min", "repeats", "SELECT {n} FROM {p} WHERE {x} = (SELECT MIN({x}) FROM {p})"),
            _idiom(
                "none_lower",
                "repeats nulls",
                "SELECT {n} FROM {p} WHERE NOT EXISTS (SELECT * FROM {p} AS other WHERE other.{x} < {p}.{x})",
            ),
            _idiom("plain_limit", "ties nulls", "SELECT {n} FROM {p} ORDER BY {x} LIMIT 1"),
        ),
    ),
    Template(
        "above_average",
        "Which {p} has {x} above average?",
        "SELECT {n} FROM {p} WHERE {x} > (SELECT AVG({x}) FROM (SELECT DISTINCT id, {x} FROM {p})) GROUP BY id",
        (
            _idiom("distinct", "homonyms", "SELECT DISTINCT {n} FROM {p} WHERE {x} > (SELECT AVG({x}) FROM {p})"),
            _idiom("average", "repeats", "SELECT {n} FROM {p} WHERE {x} > (SELECT AVG({x}) FROM {p})"),
            _idiom(
                "sum_by_count", "repeats", "SELECT {n} FROM {p} WHERE {x} > (SELECT SUM({x}) / COUNT({x}) FROM {p})"
            ),
        ),
    ),
    Template(
        "over",
        "Which {p} has {x} over {v}?",
        "SELECT {n} FROM {p} WHERE {x} > {v} GROUP BY id",
        (
            _idiom("distinct", "homonyms", "SELECT DISTINCT {n} FROM {p} WHERE {x} > {v}"),
            _idiom("where", "repeats", "SELECT {n} FROM {p} WHERE {x} > {v}"),
            _idiom(
                "not_in", "repeats nulls", "SELECT {n} FROM {p} WHERE id NOT IN (SELECT id FROM {p} WHERE {x} <= {v})"
            ),
            _idiom("except", "homonyms nulls", "SELECT {n} FROM {p} EXCEPT SELECT {n} FROM {p} WHERE {x} <= {v}"),
        ),
    ),
    Template(
        "count_over",
        "Count every {p} with {x} over {v}.",
        "SELECT COUNT(DISTINCT id) FROM {p} WHERE {x} > {v}",
        (
            _idiom("distinct", "homonyms", "SELECT COUNT(DISTINCT {n}) FROM {p} WHERE {x} > {v}"),
            _idiom("star", "repeats", "SELECT COUNT(*) FROM {p} WHERE {x} > {v}"),
            _idiom(
                "not_in",
                "repeats nulls",
                "SELECT COUNT(*) FROM {p} WHERE id NOT IN (SELECT id FROM {p} WHERE {x} <= {v})",
            ),
            _idiom("sum", "repeats", "SELECT SUM({x} > {v}) FROM {p}"),
        ),
    ),
    Template(
        "average",
        "What is the average {x} of every {p}?",
        "SELECT AVG({x}) FROM (SELECT DISTINCT id, {x} FROM {p})",
        (
            _idiom("distinct", "ties", "SELECT AVG(DISTINCT {x}) FROM {p}"),
            _idiom("average", "repeats", "SELECT AVG({x}) FROM {p}"),
            _idiom("ratio", "repeats nulls", "SELECT SUM({x}) * 1.0 / COUNT(*) FROM {p}"),
        ),
    ),
    Template(
        "count_all",
        "Count every {p}.",
        "SELECT COUNT(DISTINCT id) FROM {p}",
        (
            _idiom("distinct", "homonyms", "SELECT COUNT(DISTINCT {n}) FROM {p}"),
            _idiom("star", "repeats", "SELECT COUNT(*) FROM {p}"),
            _idiom("column", "repeats nulls", "SELECT COUNT({x}) FROM {p}"),
        ),
    ),
    Template(
        "over_with_child",
        "Which {p} with {x} over {v} has any {c}?",
        "SELECT {n} FROM {join} WHERE {x} > {v} GROUP BY {p}.id",
        (
            _idiom("distinct_join", "homonyms", "SELECT DISTINCT {n} FROM {join} WHERE {x} > {v}"),
            _idiom("in", "repeats", "SELECT {n} FROM {p} WHERE {x} > {v} AND id IN (SELECT {k} FROM {c})"),
            _idiom("join", "repeats fan_out", "SELECT {n} FROM {join} WHERE {x} > {v}"),
            _idiom(
                "exists",
                "repeats",
                "SELECT {n} FROM {p} WHERE {x} > {v} AND EXISTS (SELECT * FROM {c} WHERE {k} = {p}.id)",
            ),
        ),
    ),
)


def questions(schema: Schema) -> list[Question]:
    """Every question that can be asked of a schema."""
    found = []
    for template in TEMPLATES:
        for number in schema.numbers if template.needs_number else schema.numbers[:1]:
            found += [
                Question(template, schema, number, limit) for limit in (LIMITS if template.needs_limit else (None,))
            ]
    return found


def base_mixture(count: int) -> tuple[float, ...]:
    """Shares of ``count`` idioms in the base model's answers; they sum to 1."""
    shares = BASE_MIXTURE[:count]
    return tuple(share / sum(shares) for share in shares)
