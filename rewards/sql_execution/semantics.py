"""What a query means: how its text is read, and when two results are the same under each benchmark's rule."""

from __future__ import annotations

import logging
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count, groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Literal, get_args

from ...data.sql.sql_fingerprint import fingerprint as keywords
from .sqlite_guard import Cell, Table

if TYPE_CHECKING:
    from sqlglot import exp

# A tag is a language only when it is SQL's or ends its line: "```SELECT 1```" has none.
_FENCE = re.compile(r"```(?:(?P<sql>sql(?:ite)?\b)|[\w+-]*(?=[ \t]*\n))?(?P<body>.*?)(?:```|\Z)", re.DOTALL | re.I)
# Text in quotes, a comment, a word, or other characters; an open quote or comment reaches to the end.
_PIECE = re.compile(
    r"""(?P<quoted>'(?:[^']|'')*(?:'|\Z) | "(?:[^"]|"")*(?:"|\Z) | `[^`]*(?:`|\Z) | \[[^\][]*\])
    | (?P<comment>--[^\n]* | /\*.*?(?:\*/|\Z)) | (?P<word>\w+) | [^\w'"`\[/;()-]+ | .""",
    re.DOTALL | re.VERBOSE,
)
# Without a time value, SQLite's functions of date and time take the current one.
_CLOCK = re.compile(
    r"""\bnow\b | \bcurrent_(?:date|time|timestamp)\b | \b(?:date|time|datetime|julianday|unixepoch)\s*\(\s*\)
    | \bstrftime\s*\(\s*(?:'[^']*'|"[^"]*")\s*\)""",
    re.IGNORECASE | re.VERBOSE,
)
_SYNTAX_ERROR = re.compile(r"syntax error|incomplete input|unrecognized token|returns rows")
_LONGEST_PARSED = 8_000  # characters; sqlglot takes about a millisecond per hundred
_DEEPEST_PARSED = 60  # nested parentheses; each level is a dozen Python frames in sqlglot


def _is_news(record: logging.LogRecord) -> bool:
    """False for sqlglot's warning about a statement it does not know: here that is an answer, with a verdict."""
    return "Falling back to parsing as a 'Command'" not in record.getMessage()


# A filter and not a level around each parse, which threads that judge side by side would reset for each other.
logging.getLogger("sqlglot").addFilter(_is_news)


def extract_sql(completion: str) -> str:
    """The last ```sql block, else the last fenced block, else the whole text; only what follows the thinking.

    After `<think>` without `</think>` there is no answer.
    """
    text = completion.rsplit("</think>", 1)[-1].split("<think>", 1)[0]
    blocks = [(match["sql"], match["body"]) for match in _FENCE.finditer(text)]
    chosen = [body for tag, body in blocks if tag] or [body for _, body in blocks] or [text]
    return chosen[-1].strip()


def statements(sql: str) -> list[str]:
    """The statements between semicolons, without those that hold nothing but comments."""
    found, text, filled = [], "", False
    for piece in (*_PIECE.finditer(sql), None):
        if piece is None or piece.group() == ";":
            found += [text.strip()] if filled else []
            text, filled = "", False
        else:
            text += piece.group()
            filled = filled or not (piece["comment"] or piece.group().isspace())
    return found


def only_statement(sql: str) -> str:
    """A query without the semicolons and comments after it; several statements as they are, which SQLite refuses."""
    found = statements(sql) if ";" in sql else []
    return found[0] if len(found) == 1 else sql


@lru_cache(maxsize=4096)
def spider_statement(sql: str, keep_distinct: bool = False) -> str:
    """A query as Spider's test-suite script runs it, with its flag `keep_distinct`.

    That is its first statement without any DISTINCT, the operators `> =`, `< =` and `! =` mended and the current year
    fixed to 2020.
    """
    for broken in ("> =", "< =", "! ="):
        sql = sql.replace(broken, broken.replace(" ", ""))
    if keep_distinct:
        sql = only_statement(sql)
    else:
        pieces = (match.group() for match in _PIECE.finditer(next(iter(statements(sql)), "")))
        sql = "".join(piece for piece in pieces if piece.lower() != "distinct")
    return re.sub(r"year\s*\(\s*curdate\s*\(\s*\)\s*\)\s*", "2020", sql, flags=re.IGNORECASE)


def reads_clock(sql: str) -> bool:
    """Whether the result of a query can change with the time of day."""
    return _CLOCK.search(sql) is not None


def parses(sql: str, sqlite_error: str) -> bool:
    """Whether a query that SQLite refused with this message is SQL at all.

    SQLite has parsed whatever it refuses for another reason than syntax; for the rest sqlglot decides, so
    that another dialect's SQL is not called noise.
    """
    return not _SYNTAX_ERROR.search(sqlite_error) or _parse(sql) is not None


@lru_cache(maxsize=4096)
def has_top_level_order(sql: str) -> bool:
    """Whether the outermost SELECT (or compound) has an ORDER BY."""
    tree = _parse(sql)
    if tree is not None:
        return tree.args.get("order") is not None
    without_nested, nested = sql, re.compile(r"'[^']*'|\"[^\"]*\"|\([^()]*\)")
    while nested.search(without_nested):
        without_nested = nested.sub(" ", without_nested)
    return re.search(r"\border\s+by\b", without_nested, re.IGNORECASE) is not None


@lru_cache(maxsize=4096)
def ranked(sql: str) -> tuple[str, int] | None:
    """A query with ORDER BY, rewritten so that it tells which rows are equal in that order.

    Returns:
        The query without LIMIT and with the rank of each row as its last column, and the OFFSET; None where there is
        no ORDER BY or it cannot be rewritten.
    """
    tree = _parse(sql)
    try:
        return _ranked(tree.copy()) if tree is not None and tree.args.get("order") else None
    except Exception:  # an ordinal beyond the columns, an OFFSET that is an expression, corners of sqlglot
        return None


def _ranked(body: exp.Query) -> tuple[str, int]:
    from sqlglot import exp

    order, offset = body.args.pop("order"), body.args.pop("offset", None)
    body.set("limit", None)
    columns = body.selects
    # A rank beside the columns would undo DISTINCT and does not fit a compound: those are ranked from outside.
    inside = isinstance(body, exp.Select) and not body.args.get("distinct")
    by_name = {item.alias.lower(): item.this for item in columns if isinstance(item, exp.Alias)} if inside else {}
    for term in order.expressions:
        key = term.this
        if isinstance(key, exp.Literal) and key.is_int:
            chosen = columns[int(key.this) - 1]
            term.set("this", chosen.unalias().copy() if inside else exp.column(chosen.alias_or_name, quoted=True))
        elif isinstance(key, exp.Column) and not key.table and key.name.lower() in by_name:
            term.set("this", by_name[key.name.lower()].copy())
    if not inside:
        body = exp.select("*").from_(body.subquery("ranked"))
    rank = exp.Window(this=exp.func("DENSE_RANK"), order=order)
    body = body.select(exp.alias_(rank, "gold_rank")).order_by(exp.column("gold_rank"))
    return body.sql(dialect="sqlite"), int(offset.expression.this) if offset else 0


@lru_cache(maxsize=16384)
def fingerprint(sql: str) -> str:
    """The idiom: sqlglot's normal form with table, column and alias names and literals taken out.

    Of text that sqlglot cannot read, the keywords in order (`data.sql_fingerprint`).
    """
    tree = _parse(sql)
    if tree is None:
        return keywords(sql)
    try:
        return tree.transform(_anonymous).sql(dialect="sqlite", comments=False)
    except Exception:  # sqlglot's generator on trees that its parser let through
        return keywords(sql)


def _anonymous(node: exp.Expression) -> exp.Expression | None:
    from sqlglot import exp

    if isinstance(node, exp.TableAlias):
        return exp.TableAlias(this=exp.to_identifier("t")) if isinstance(node.parent, exp.CTE) else None
    if isinstance(node, exp.Alias):
        return node.this.transform(_anonymous)
    if isinstance(node, exp.Literal | exp.Boolean):
        return exp.Placeholder()
    if isinstance(node, exp.Column):
        return exp.column("c")
    if isinstance(node, exp.Table):
        joins = node.args.get("joins")
        return exp.Table(this=exp.to_identifier("t"), joins=joins)
    return node


def _parse(sql: str) -> exp.Expression | None:
    import sqlglot

    if len(sql) > _LONGEST_PARSED or _depth(sql) > _DEEPEST_PARSED:
        return None
    try:
        trees = sqlglot.parse(sql, read="sqlite")
    except Exception:  # ParseError and TokenError for noise, others for corners of sqlglot: none of them is SQL
        return None
    statements = [tree for tree in trees if tree is not None]
    return statements[0] if len(statements) == 1 and isinstance(statements[0], sqlglot.exp.Query) else None


def _depth(sql: str) -> int:
    depth = deepest = 0
    for character in sql:
        depth += (character == "(") - (character == ")")
        deepest = max(deepest, depth)
    return deepest


Semantics = Literal["spider", "bird", "set", "bag", "ordered"]
SEMANTICS: tuple[Semantics, ...] = get_args(Semantics)
BENCHMARKS: tuple[Semantics, ...] = ("spider", "bird")
DISTINCT: tuple[Semantics, ...] = ("bird", "set")  # these never look at how often a row comes

Row = tuple[Cell, ...]
Same = Callable[[list[Row], list[Row]], bool]

# Wide enough for sums taken in another order, far too narrow for a rounded value to pass for the exact one.
_RELATIVE, _ABSOLUTE = 1e-9, 1e-12
_MOST_TRIES = 10_000  # columns tried while looking for a permutation; reached only by results made for it


@dataclass(frozen=True)
class Ranking:
    """All rows that a gold query with ORDER BY chooses from, before LIMIT and OFFSET.

    In gold order, each with its rank as the last cell; rows of one rank have equal sort keys.
    """

    rows: list[Row]
    offset: int

    def allows(self, rows: list[Row]) -> bool:
        """Whether a result with as many rows as the gold query's is a window of these rows in one of their orders.

        Rows of one rank may come in any order, and where LIMIT or OFFSET cuts through a rank any of its rows will do.
        Only as many columns are looked at as the result has.
        """
        width = len(rows[0]) if rows else 0
        first, end, start = self.offset, self.offset + len(rows), 0
        for _, group in groupby(self.rows, key=itemgetter(-1)):
            ours = [row[:width] for row in group]
            theirs = rows[max(start - first, 0) : max(min(start + len(ours), end) - first, 0)]
            whole = len(ours) == len(theirs)
            if not (_same_bag(ours, theirs) if whole else Counter(theirs) <= Counter(ours)):
                return False
            start += len(ours)
        return end <= start


def same_result(
    gold: Table,
    predicted: Table,
    semantics: Semantics,
    *,
    permute_columns: bool = False,
    listed: bool = False,
    ranking: Ranking | None = None,
) -> bool:
    """Whether two results are equal.

    - `spider`: as lists if `listed` (gold has ORDER BY), else as bags, under one permutation of the predicted columns.
    - `bird`: as sets of rows.
    - `set` ignores order and repetition, `bag` ignores order, `ordered` ignores only the order of rows with equal
      sort keys, as far as a `ranking` tells them. The order of columns matters unless `permute_columns`.

    Everywhere 1 equals 1.0, NULL equals NULL, and text and numbers are never equal. The benchmarks compare floats
    exactly; the other three to a relative 1e-9, since sums may be taken in another order.
    """
    if semantics == "bird":
        return set(gold.rows) == set(predicted.rows)
    if semantics == "spider":
        return _same_in_spider(gold.rows, predicted.rows, listed)
    if gold.columns != predicted.columns:
        return False

    def same_order(ours: list[Row], theirs: list[Row]) -> bool:
        ties = ranking is not None and len(ours) == len(theirs) and ranking.allows(theirs)
        return ties or _same_list(ours, theirs)

    same: Same = {"set": _same_set, "bag": _same_bag, "ordered": same_order}[semantics]
    return same(gold.rows, predicted.rows) or (permute_columns and _same_permuted(gold.rows, predicted.rows, same))


def _same_in_spider(gold: list[Row], predicted: list[Row], listed: bool) -> bool:
    """Spider's test-suite rule (github.com/taoyds/test-suite-sql-eval) on one database."""
    if not gold and not predicted:
        return True
    if len(gold) != len(predicted) or len(gold[0]) != len(predicted[0]):
        return False
    gold, predicted = _readable(gold), _readable(predicted)
    # The script first compares rows with their cells sorted as text, which can tell 1 from 1.0 beside a fraction.
    left, right = (
        [tuple(sorted(row, key=lambda cell: f"{cell!s}{type(cell)}")) for row in rows] for rows in (gold, predicted)
    )
    if left != right if listed else set(left) != set(right):
        return False
    return _same_permuted(gold, predicted, list.__eq__ if listed else lambda a, b: Counter(a) == Counter(b))


def _readable(rows: list[Row]) -> list[Row]:
    """Text without the bytes that are not UTF-8, as the script reads it."""

    def readable(cell: Cell) -> Cell:
        known = not isinstance(cell, str) or cell.isascii()
        return cell if known else str(cell).encode("utf-8", "surrogateescape").decode("utf-8", "ignore")

    return [tuple(map(readable, row)) for row in rows]


def _same_permuted(gold: list[Row], predicted: list[Row], same: Same) -> bool:
    """Whether one permutation of the predicted columns makes the results `same`.

    Found column by column: what is not the same in the first columns cannot become so.
    """
    if not gold or not predicted or same(gold, predicted):
        return bool(gold) == bool(predicted)
    left, right = list(zip(*gold, strict=True)), list(zip(*predicted, strict=True))
    tries = count()

    def extend(order: list[int]) -> bool:
        if len(order) == len(left):
            return True
        tried = []
        for column in range(len(right)):
            if column in order or right[column] in tried or next(tries) > _MOST_TRIES:
                continue
            tried.append(right[column])
            longer = [*order, column]
            ours = list(zip(*left[: len(longer)], strict=True))
            if same(ours, list(zip(*(right[i] for i in longer), strict=True))) and extend(longer):
                return True
        return False

    return len(left) == len(right) and extend([])


def _same_list(gold: Sequence[Row], predicted: Sequence[Row]) -> bool:
    if gold == predicted or len(gold) != len(predicted):
        return gold == predicted
    return all(_close(a, b) for pair in zip(gold, predicted, strict=True) for a, b in zip(*pair, strict=True))


def _same_bag(gold: list[Row], predicted: list[Row]) -> bool:
    return len(gold) == len(predicted) and (
        Counter(gold) == Counter(predicted) or _close_unordered(gold, predicted, distinct=False)
    )


def _same_set(gold: list[Row], predicted: list[Row]) -> bool:
    gold, predicted = list(dict.fromkeys(gold)), list(dict.fromkeys(predicted))
    return set(gold) == set(predicted) or _close_unordered(gold, predicted, distinct=True)


def _close(a: Cell, b: Cell) -> bool:
    if isinstance(a, int | float) and isinstance(b, int | float):
        return math.isclose(a, b, rel_tol=_RELATIVE, abs_tol=_ABSOLUTE)
    return a == b


def _close_unordered(gold: list[Row], predicted: list[Row], distinct: bool) -> bool:
    """Compare rows in the order of their floats at seven digits, where rounding noise of 1e-9 almost never shows."""
    floats = {column for row in (*gold, *predicted) for column, cell in enumerate(row) if isinstance(cell, float)}
    if not floats:
        return False
    left, right = _by_rounded(gold, floats, distinct), _by_rounded(predicted, floats, distinct)
    return left.keys() == right.keys() and all(_same_list(left[key], right[key]) for key in left)


def _by_rounded(rows: Iterable[Row], floats: set[int], distinct: bool) -> dict[Row, list[Row]]:
    groups: dict[Row, list[Row]] = defaultdict(list)
    for row in rows:
        groups[tuple(_rounded(cell) if i in floats else cell for i, cell in enumerate(row))].append(row)
    return {key: group[:1] if distinct else sorted(group, key=repr) for key, group in groups.items()}


def _rounded(cell: Cell) -> Cell:
    if not isinstance(cell, int | float):
        return cell
    return 0.0 if abs(cell) < _ABSOLUTE else float(f"{cell:.6e}")
