"""What the SQL reward costs beside the pattern it replaces, and what its guards cost beside none.

    python scripts/bench/sql_reward.py

Peer: one HTTP request per sample to a scoring server on the loopback that runs the gold query again every time, as
the reference implementation of DPH-RL does. CPU seconds are those of client and server together.
"""

from __future__ import annotations

import http.client
import json
import random
import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from quince.rewards.sql_execution.semantics import extract_sql
from quince.rewards.sql_execution.sql_reward import SqlExecution
from quince.rewards.sql_execution.sqlite_guard import Limits, run_query
from quince.scripts.bench.pages import Page, Results, bench, in_turns, table

ROUNDS = 9
PROMPTS, GROUP = 40, 8
Samples = tuple[list[str], list[dict[str, Any]]]


def make_database(path: Path) -> None:
    rng = random.Random(0)
    customers = [(i, f"name {i % 997}", f"city {rng.randrange(50)}", rng.randrange(18, 90)) for i in range(5_000)]
    orders = [(i, rng.randrange(5_000), rng.random() * 100, rng.randrange(2015, 2025)) for i in range(20_000)]
    tables = {"customer": ("name TEXT, city TEXT, age INTEGER", customers)}
    tables["orders"] = ("customer_id INTEGER, total REAL, year INTEGER", orders)
    with closing(sqlite3.connect(path)) as connection, connection:
        for name, (columns, rows) in tables.items():
            connection.execute(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, {columns})")
            connection.executemany(f"INSERT INTO {name} VALUES (?, ?, ?, ?)", rows)


def make_samples(database: Path, distinct: bool) -> Samples:
    """Completions and rows: groups of 8 for each prompt, all different, or half of them repeated."""
    shapes = (
        "SELECT name FROM customer WHERE city = 'city {k}' AND age > {a}",
        "SELECT city, count(*) FROM customer WHERE age > {a} GROUP BY city HAVING count(*) > {k}",
        "SELECT name, total FROM orders o JOIN customer c ON c.id = o.customer_id WHERE year = 20{y} AND age = {a}",
        "SELECT name FROM customer WHERE id IN (SELECT customer_id FROM orders WHERE id > 19{a}0 AND year = 20{y})",
        "SELECT max(age), min(age), avg(age) FROM customer WHERE city <> 'city {k}' AND age < {a}",
    )
    completions, rows = [], []
    for prompt in range(PROMPTS):
        shape, year = shapes[prompt % len(shapes)], 15 + prompt % 10
        gold = shape.format(k=prompt, a=50, y=year)
        for sample in range(GROUP):
            age = 50 + (sample if distinct else sample // 2)
            completions.append(f"```sql\n{shape.format(k=prompt, a=age, y=year)} -- {age}\n```")
            rows.append({"id": f"{prompt}", "database": str(database), "gold_sql": gold, "semantics": "set"})
    return completions, rows


def bare_connection(database: str) -> sqlite3.Connection:
    """A pooled connection as the peer opens it: immutable, a progress handler every 1,000 steps, no other guard."""
    connection = sqlite3.connect(f"file:{database}?immutable=1", uri=True, check_same_thread=False)
    deadline = time.perf_counter() + 3600
    connection.set_progress_handler(lambda: time.perf_counter() > deadline, 1_000)
    return connection


class Scorer(BaseHTTPRequestHandler):
    """The peer's server: runs prediction and gold, compares the sets of rows."""

    database: sqlite3.Connection

    def do_PUT(self) -> None:
        """Score one sample."""
        sample = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        predicted = self.database.execute(extract_sql(sample["response"])).fetchall()
        gold = self.database.execute(sample["gold_sql"]).fetchall()
        body = json.dumps({"score": float(set(predicted) == set(gold))}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def score_by_http(port: int, completion: str, row: Mapping[str, Any]) -> float:
    with closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
        connection.request("PUT", "/score", json.dumps({"response": completion, "gold_sql": row["gold_sql"]}))
        return json.loads(connection.getresponse().read())["score"]


def paired(ours: Callable[[], Any], other: Callable[[], Any]) -> dict[str, float]:
    seconds = in_turns(ROUNDS, ours=ours, other=other)
    ratios = [theirs / own for own, theirs in zip(seconds["ours"], seconds["other"], strict=True)]
    found = {f"{name}_cpu_s": statistics.median(each) for name, each in seconds.items()}
    return found | {"ratio": statistics.median(ratios), "ratio_min": min(ratios), "ratio_max": max(ratios)}


def compare(database: Path) -> dict[str, dict[str, float]]:
    connection, reward, results = bare_connection(str(database)), SqlExecution(), {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("BoundScorer", (Scorer,), {"database": connection}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name, distinct in (("all different", True), ("half repeated", False)):
        samples = make_samples(database, distinct)
        judge, by_http = partial(_judge, reward, samples), partial(_by_http, server.server_port, samples)
        if judge() != by_http():
            raise SystemExit("the patterns disagree on a score, so their costs are not comparable")
        results[f"HTTP and gold re-run per sample / ours, {name}"] = paired(judge, by_http)
    server.shutdown()
    queries = [extract_sql(text) for text in make_samples(database, True)[0]]
    limits = Limits(5.0, 100_000, 64 * 2**20)
    results["guarded / bare connection, same queries"] = paired(
        lambda: [connection.execute(sql).fetchall() for sql in queries],
        lambda: [run_query(str(database), sql, limits) for sql in queries],
    )
    return results


def _judge(reward: SqlExecution, samples: Samples) -> list[float | None]:
    return [verdict.value for verdict in reward.judge_batch(*samples)]


def _by_http(port: int, samples: Samples) -> list[float]:
    return [score_by_http(port, completion, row) for completion, row in zip(*samples, strict=True)]


def measure() -> Results:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shop.sqlite"
        make_database(path)
        return {"comparisons": compare(path)}


def render(found: Results) -> str:
    rows = []
    for name, one in found["comparisons"].items():
        cells = [f"{one['ours_cpu_s']:.3f}", f"{one['other_cpu_s']:.3f}", f"{one['ratio']:.2f}"]
        rows.append([name, *cells, f"{one['ratio_min']:.2f} to {one['ratio_max']:.2f}"])
    http, guard = (next(one for name, one in found["comparisons"].items() if word in name) for word in ("HTTP", "bare"))
    return f"""The SQL reward judges {http["ratio"]:.2f} times as many completions per CPU second as a scoring server
that runs
the gold query again for each. Its guards cost {guard["ratio"]:.2f} times a connection without them.

{table(["comparison", "denominator, s", "numerator, s", "ratio", "range"], rows)}"""


PAGE = Page("sql_reward", "Cost of the SQL reward", render, seeds=[0])

if __name__ == "__main__":
    bench(PAGE, measure)
