"""Question templates of ``sql_idioms``: one question, several natural ways to write its SQL.

The reading of every question is fixed: parents are told apart by id, each counts once, and all
parents that share the extreme value are meant. The gold query says exactly that and is not among
the idioms; each idiom means the same only on databases without the quirks that break it.
"""

from __future__ import annotations

from dataclasses import dataclass

from .databases import Schema

# What a base model, which does not know the quirks, writes: weights of the idioms by rank.
BASE_MIXTURE = (0.35, 0.30, 0.20, 0.15)
LIMITS = (20, 30, 40, 70, 80)

# Each block is a template: name and question, the gold query, then the idioms by rank, each with the quirks that
# break it; training favours the first. ``{p}`` is the parent, ``{c}`` the child, ``{n}`` the name column, ``{k}`` the
# key column, ``{x}`` a number column, ``{v}`` a limit, and ``{join}`` the joined tables.
_TABLE = """
with_child: Which {p} has any {c}?
gold: SELECT {n} FROM {join} GROUP BY {p}.id
distinct_join (homonyms): SELECT DISTINCT {n} FROM {join}
in (repeats): SELECT {n} FROM {p} WHERE id IN (SELECT {k} FROM {c})
join (repeats fan_out): SELECT {n} FROM {join}
exists (repeats): SELECT {n} FROM {p} WHERE EXISTS (SELECT * FROM {c} WHERE {k} = {p}.id)

without_child: Which {p} has no {c}?
gold: SELECT {n} FROM {p} WHERE NOT EXISTS (SELECT * FROM {c} WHERE {k} = {p}.id) GROUP BY id
except (homonyms): SELECT {n} FROM {p} EXCEPT SELECT {n} FROM {join}
left_join (repeats): SELECT {n} FROM {p} LEFT JOIN {c} ON {p}.id = {k} WHERE {k} IS NULL
not_in (repeats orphans): SELECT {n} FROM {p} WHERE id NOT IN (SELECT {k} FROM {c})

count_with_child: Count every {p} with any {c}.
gold: SELECT COUNT(DISTINCT {p}.id) FROM {join}
distinct_join (homonyms): SELECT COUNT(DISTINCT {n}) FROM {join}
in (repeats): SELECT COUNT(*) FROM {p} WHERE id IN (SELECT {k} FROM {c})
child_only (orphans): SELECT COUNT(DISTINCT {k}) FROM {c}
join (repeats fan_out): SELECT COUNT(*) FROM {join}

count_without_child: Count every {p} with no {c}.
gold: SELECT COUNT(DISTINCT id) FROM {p} WHERE NOT EXISTS (SELECT * FROM {c} WHERE {k} = {p}.id)
distinct_left_join (homonyms): SELECT COUNT(DISTINCT {n}) FROM {p} LEFT JOIN {c} ON {p}.id = {k} WHERE {k} IS NULL
left_join (repeats): SELECT COUNT(*) FROM {p} LEFT JOIN {c} ON {p}.id = {k} WHERE {k} IS NULL
not_in (repeats orphans): SELECT COUNT(*) FROM {p} WHERE id NOT IN (SELECT {k} FROM {c})

highest: Which {p} has the highest {x}?
gold: SELECT {n} FROM {p} WHERE {x} = (SELECT MAX({x}) FROM {p}) GROUP BY id
limit (ties): SELECT {n} FROM {p} ORDER BY {x} DESC LIMIT 1
max (repeats): SELECT {n} FROM {p} WHERE {x} = (SELECT MAX({x}) FROM {p})
none_higher (repeats nulls): SELECT {n} FROM {p} WHERE NOT EXISTS (SELECT * FROM {p} AS other WHERE other.{x} > {p}.{x})

lowest: Which {p} has the lowest {x}?
gold: SELECT {n} FROM {p} WHERE {x} = (SELECT MIN({x}) FROM {p}) GROUP BY id
limit (ties): SELECT {n} FROM {p} WHERE {x} > 0 ORDER BY {x} LIMIT 1
min (repeats): SELECT {n} FROM {p} WHERE {x} = (SELECT MIN({x}) FROM {p})
none_lower (repeats nulls): SELECT {n} FROM {p} WHERE NOT EXISTS (SELECT * FROM {p} AS other WHERE other.{x} < {p}.{x})
plain_limit (ties nulls): SELECT {n} FROM {p} ORDER BY {x} LIMIT 1

above_average: Which {p} has {x} above average?
gold: SELECT {n} FROM {p} WHERE {x} > (SELECT AVG({x}) FROM (SELECT DISTINCT id, {x} FROM {p})) GROUP BY id
distinct (homonyms): SELECT DISTINCT {n} FROM {p} WHERE {x} > (SELECT AVG({x}) FROM {p})
average (repeats): SELECT {n} FROM {p} WHERE {x} > (SELECT AVG({x}) FROM {p})
sum_by_count (repeats): SELECT {n} FROM {p} WHERE {x} > (SELECT SUM({x}) / COUNT({x}) FROM {p})

over: Which {p} has {x} over {v}?
gold: SELECT {n} FROM {p} WHERE {x} > {v} GROUP BY id
distinct (homonyms): SELECT DISTINCT {n} FROM {p} WHERE {x} > {v}
where (repeats): SELECT {n} FROM {p} WHERE {x} > {v}
not_in (repeats nulls): SELECT {n} FROM {p} WHERE id NOT IN (SELECT id FROM {p} WHERE {x} <= {v})
except (homonyms nulls): SELECT {n} FROM {p} EXCEPT SELECT {n} FROM {p} WHERE {x} <= {v}

count_over: Count every {p} with {x} over {v}.
gold: SELECT COUNT(DISTINCT id) FROM {p} WHERE {x} > {v}
distinct (homonyms): SELECT COUNT(DISTINCT {n}) FROM {p} WHERE {x} > {v}
star (repeats): SELECT COUNT(*) FROM {p} WHERE {x} > {v}
not_in (repeats nulls): SELECT COUNT(*) FROM {p} WHERE id NOT IN (SELECT id FROM {p} WHERE {x} <= {v})
sum (repeats): SELECT SUM({x} > {v}) FROM {p}

average: What is the average {x} of every {p}?
gold: SELECT AVG({x}) FROM (SELECT DISTINCT id, {x} FROM {p})
distinct (ties): SELECT AVG(DISTINCT {x}) FROM {p}
average (repeats): SELECT AVG({x}) FROM {p}
ratio (repeats nulls): SELECT SUM({x}) * 1.0 / COUNT(*) FROM {p}

count_all: Count every {p}.
gold: SELECT COUNT(DISTINCT id) FROM {p}
distinct (homonyms): SELECT COUNT(DISTINCT {n}) FROM {p}
star (repeats): SELECT COUNT(*) FROM {p}
column (repeats nulls): SELECT COUNT({x}) FROM {p}

over_with_child: Which {p} with {x} over {v} has any {c}?
gold: SELECT {n} FROM {join} WHERE {x} > {v} GROUP BY {p}.id
distinct_join (homonyms): SELECT DISTINCT {n} FROM {join} WHERE {x} > {v}
in (repeats): SELECT {n} FROM {p} WHERE {x} > {v} AND id IN (SELECT {k} FROM {c})
join (repeats fan_out): SELECT {n} FROM {join} WHERE {x} > {v}
exists (repeats): SELECT {n} FROM {p} WHERE {x} > {v} AND EXISTS (SELECT * FROM {c} WHERE {k} = {p}.id)
"""


@dataclass(frozen=True)
class Idiom:
    """One way to write the query, and the quirks that break it."""

    name: str
    breaks: frozenset[str]
    sql: str


@dataclass(frozen=True)
class Template:
    """A question with its gold query and its idioms by rank."""

    name: str
    question: str
    gold: str
    idioms: tuple[Idiom, ...]


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


def _template(block: str) -> Template:
    (name, question), (_, gold), *rest = (line.split(": ", 1) for line in block.splitlines())
    heads = [(*head.rstrip(")").split(" (", 1), sql) for head, sql in rest]
    idioms = tuple(Idiom(idiom, frozenset(breaks.split()), sql) for idiom, breaks, sql in heads)
    return Template(name, question, gold, idioms)


TEMPLATES = tuple(map(_template, _TABLE.strip().split("\n\n")))


def questions(schema: Schema) -> list[Question]:
    """Every question that can be asked of a schema."""
    return [
        Question(template, schema, number, limit)
        for template in TEMPLATES
        for number in (schema.numbers if "{x}" in template.question else schema.numbers[:1])
        for limit in (LIMITS if "{v}" in template.question else (None,))
    ]
