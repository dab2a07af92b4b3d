"""SQL as text: where it is in a completion, whether it parses, and what idiom it is."""

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
_SYNTAX_ERROR = re.compile(r"syntax error|incomplete input|unrecognized token|returns rows")
_LONGEST_PARSED = 8_000  # characters; sqlglot takes about a millisecond per hundred
_DEEPEST_PARSED = 60  # nested parentheses; each level is a dozen Python frames in sqlglot


def _is_news(record: logging.LogRecord) -> bool:
    """False for sqlglot's warning about a statement it does not know: here that is an answer, with a verdict."""
    return "Falling back to parsing as a 'Command'" not in record.getMessage()


# A filter and not a level around each parse, which threads that judge side by side would reset for each other.
logging.getLogger("sqlglot").addFilter(_is_news)


def extract_sql(completion: str) -> str:
    """The last ```sql block, else the last fenced block, else the whole text; after the last `</think>`."""
    text = completion.rsplit("</think>", 1)[-1]
    blocks = [(match["sql"], match["body"]) for match in _FENCE.finditer(text)]
    chosen = [body for tag, body in blocks if tag] or [body for _, body in blocks] or [text]
    return chosen[-1].strip()


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
