"""SQL as text: where it is in a completion, how a benchmark rewrites it, whether it parses, and what idiom it is."""

from __future__ import annotations

import logging
import re
from functools import lru_cache
from typing import TYPE_CHECKING

from ...data.sql.sql_fingerprint import fingerprint as keywords

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
    """A query as Spider's test-suite script runs it.

    That is its first statement without any DISTINCT, the operators `> =`, `< =` and `! =` mended and the current
    year fixed to 2020.

    Args:
        sql: Gold or predicted query.
        keep_distinct: The script's flag of this name.
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
