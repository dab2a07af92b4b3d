"""`quince probe`: which requests fine-tuning rows determine, why, which rows to add, and test sets by status."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ...eval.probe.explaining import Reason
    from ...eval.probe.read.slot_rows import Table
    from ...eval.probe.slot_analysis import Analysis

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

_ROWS = "Training rows: a file, KIND:OPTION=VALUE,... or demonstrations/KIND:OPTION=VALUE,..."
Data = Annotated[str, typer.Argument(help=_ROWS)]
Schema = Annotated[str, typer.Option(help="A schema file, or the name of a shipped one (`quince probe schema`).")]
Test = Annotated[str | None, typer.Option(help="Requests, given like the training rows; else some are held out.")]
Holdout = Annotated[float, typer.Option(help="Share of the rows held out when there is no --test.")]
K = Annotated[int | None, typer.Option("--k", min=1, help="Required evidence; else by the null model.")]
_NOISE = "Allow noise: required share of agreement; else strict."
Agreement = Annotated[float | None, typer.Option(min=0.5, max=0.999, help=_NOISE)]
Seed = Annotated[int, typer.Option(help="Of random choices.")]
Out = Annotated[Path, typer.Option(help="Folder for the report.")]


@app.command()
def schema(
    name: Annotated[str | None, typer.Argument(help="A schema file to check, or a shipped one to print.")] = None,
) -> None:
    """The shipped schemas; one of them as a start for your own; or a check of yours."""
    from ...eval.probe.read.slot_schema import FOLDER, load_schema, schema_path, shipped

    if name is None:
        for known in shipped():
            print(known)
        return
    found, path = load_schema(name), schema_path(name)
    if path.parent == FOLDER:
        print(path.read_text(encoding="utf-8"), end="")
    else:
        print(f"{path}: valid, {len(found.slots)} slots, {len(found.outputs)} outputs")


@app.command()
def analyse(
    data: Data,
    schema: Schema,
    test: Test = None,
    holdout: Holdout = 0.2,
    out: Out = Path("probe"),
    k: K = None,
    agreement: Agreement = None,
    fail_under: Annotated[float, typer.Option(min=0, max=1, help="Exit with 1 if fewer are seen or determined.")] = 0.0,
    seed: Seed = 0,
) -> None:
    """Judge every request and write the report: index.html and probe.json."""
    from ...eval.probe.probe_page import write_report
    from ...eval.probe.summary import summary

    found, _ = _analysis(data, schema, test, holdout, k, agreement, seed)
    page = write_report(summary(found), out, (data, test or f"{holdout:g} held out"))
    _print_statuses(found)
    print(page)
    if found.determined_share < fail_under:
        print(f"seen or determined: {found.determined_share:.3f}, less than {fail_under:g}", file=sys.stderr)
        raise typer.Exit(1)


@app.command()
def explain(
    data: Data,
    row_ids: Annotated[list[str], typer.Argument(help="Ids of requests.")],
    schema: Schema,
    test: Test = None,
    holdout: Holdout = 0.2,
    k: K = None,
    agreement: Agreement = None,
    seed: Seed = 0,
) -> None:
    """Why requests have their verdicts: witnesses, or what is missing."""
    from ...eval.probe.explaining import Reasons
    from ...eval.probe.read.slot_schema import ProbeError

    found, _ = _analysis(data, schema, test, holdout, k, agreement, seed)
    for row_id in row_ids:
        if row_id not in found.test.ids:
            where = "is a training row" if row_id in found.train.ids else "is no row"
            raise ProbeError(f"explain · {row_id!r} {where} · give the id of a request, such as {found.test.ids[0]!r}")
    explained = [Reasons(found, place) for place in range(len(found.components))]
    for row in map(found.test.ids.index, row_ids):
        print(f"{found.test.ids[row]}: {found.test.texts[row]}")
        for reasons in explained:
            print("\n".join(_reason_lines(reasons(row))))


@app.command()
def plan(
    data: Data,
    schema: Schema,
    test: Test = None,
    holdout: Holdout = 0.2,
    rows: Annotated[int, typer.Option(min=1, help="Most rows to add.")] = 50,
    pool: Annotated[str | None, typer.Option(help="Rows to choose from, given like the training rows.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for plan, rows, random.jsonl and report.")] = Path("probe_plan"),
    k: K = None,
    agreement: Agreement = None,
    seed: Seed = 0,
) -> None:
    """The cheapest rows that determine more requests: instructions to write them, or rows of a pool."""
    from ...eval.probe.probe_page import write_report
    from ...eval.probe.repair import plan as make_plan
    from ...eval.probe.repair import prompts
    from ...eval.probe.summary import plan_summary, summary

    found, pooled = _analysis(data, schema, test, holdout, k, agreement, seed, pool)
    made = make_plan(found, rows, pooled)
    _write_rows(out / "plan.jsonl", prompts(made))
    if pooled is not None:
        chosen = [addition.pool for addition in made.additions if addition.pool is not None]
        _write_rows(out / "rows.jsonl", [pooled.placed[row].row for row in dict.fromkeys(chosen)])
        _write_rows(out / "random.jsonl", [pooled.placed[row].row for row in made.control(pooled, seed)])
    figures = summary(found, growth=False) | {"plan": plan_summary(made)}
    page = write_report(figures, out, (data, test or f"{holdout:g} held out"))
    change = f"{found.determined_share:.3f} -> {made.after.determined_share:.3f}"
    print(f"{len(made.additions)} rows; seen or determined {change}\n{page}")


@app.command()
def split(
    data: Data,
    schema: Schema,
    out: Annotated[Path, typer.Option(help="Folder for train, test_STATUS.jsonl, split.json.")] = Path("probe_split"),
    train_size: Annotated[int | None, typer.Option(min=1, help="Most training rows; else all that stay.")] = None,
    test_size: Annotated[int, typer.Option(min=1, help="Requests of each status.")] = 100,
    tries: Annotated[int, typer.Option(min=1, help="Random splits, of which the best is kept.")] = 6,
    k: K = None,
    agreement: Agreement = None,
    seed: Seed = 0,
) -> None:
    """Split rows into training rows and one test set for each status: seen, determined, weak, uncovered, ..."""
    from ...eval.probe.read.slot_rows import load, read_tables
    from ...eval.probe.read.slot_schema import load_schema, schema_path
    from ...eval.probe.splits import build_split, split_summary, test_row

    (pool,) = read_tables(load_schema(schema), load(data), file=str(schema_path(schema)))
    made = build_split(pool, train_size, test_size, seed, tries, k, agreement)
    _write_rows(out / "train.jsonl", [pool.placed[row].row for row in made.train])
    _write_rows(out / "rest.jsonl", [pool.placed[row].row for row in made.rest])
    for status, rows in made.tests.items():
        if len(rows):
            _write_rows(out / f"test_{status}.jsonl", [test_row(pool.placed[row].row, status) for row in rows])
    (out / "split.json").write_text(json.dumps(split_summary(made), indent=1, ensure_ascii=False) + "\n")
    print(f"{len(made.train):6d}  train")
    for status, rows in made.tests.items():
        print(f"{len(rows):6d}  {status}")
    print(out)


@app.command()
def calibrate(
    data: Data,
    records: Annotated[list[Path], typer.Argument(help="Folders of `quince eval` with the requests' answers.")],
    schema: Schema,
    test: Annotated[list[str], typer.Option(help="Requests; may be given several times.")],
    out: Out = Path("probe_calibration"),
    k: K = None,
    agreement: Agreement = None,
) -> None:
    """A model's accuracy by status and by k-cutoff, and whether simpler figures predict it as well."""
    from ...eval.probe.calibration import calibrate as compare
    from ...eval.probe.calibration import read_answers
    from ...eval.probe.probe_page import write_report
    from ...eval.probe.slot_analysis import analyse as judge_all
    from ...eval.probe.slot_analysis import read_joined
    from ...eval.probe.summary import calibration_summary, summary

    model, answers = read_answers(records)
    found = judge_all(*read_joined(data, schema, test), k, agreement)
    made = calibration_summary(compare(found, model, answers))
    page = write_report(summary(found, growth=False) | {"calibration": made}, out, (data, ", ".join(test)))
    for title, scale in (("whole answers", made), ("output by output", made["parts"])):
        if scale:
            print(title)
            _print_scale(scale)
    print(page)


def _analysis(
    data: str,
    schema: str,
    test: str | None,
    holdout: float,
    k: int | None,
    agreement: float | None,
    seed: int,
    pool: str | None = None,
) -> tuple[Analysis, Table | None]:
    """The verdicts, and the rows of the pool if there is one."""
    from ...eval.probe.slot_analysis import analyse, read_sets

    train, requests, pooled = read_sets(data, schema, test, pool, holdout, seed)
    return analyse(train, requests, k, agreement), pooled


def _print_scale(scale: Mapping[str, Any]) -> None:
    for name, share in scale["statuses"].items():
        count = scale["counts"][name]
        print(f"  {name:16s} {share['estimate']:.3f} [{share['low']:.3f}, {share['high']:.3f}] of {count}")
    for part in scale["predictors"]:
        if part["auc"]:
            area = part["auc"]
            print(f"  {part['name']:16s} AUC {area['estimate']:.3f} [{area['low']:.3f}, {area['high']:.3f}]")


def _print_statuses(found: Analysis) -> None:
    outputs = ((part.name, found.counts(place)) for place, part in enumerate(found.components))
    rows = [("all outputs", found.counts()), *outputs]
    width = max(len(name) for name, _ in rows)
    print(" " * width, *(f"{name:>13s}" for name in found.counts()))
    for name, counts in rows:
        print(f"{name:{width}s}", *(f"{count:13d}" for count in counts.values()))


def _reason_lines(reason: Reason) -> list[str]:
    values = ", ".join(f"{name} = {value}" for name, value in reason.values.items())
    lines = ["", f"{reason.output}: {reason.status}  ({values})"]
    if reason.follows is not None:
        lines.append(f"  follows {reason.follows}; evidence {reason.evidence}, required {reason.k}")
    if reason.own is not None and reason.own != reason.follows:
        lines.append(f"  its own {reason.own}")
    for step in reason.steps:
        change = "; ".join(f"{name}: {before} like {after}" for name, (before, after) in step.change.items())
        against = f", unlike in {step.against}" if step.against else ""
        lines.append(f"  {change} in {step.evidence} contexts{against}")
        lines += [f"    {left} and {right}" for left, right in step.witnesses]
    if reason.rows:
        lines.append(f"  rows {', '.join(reason.rows)}")
    return [*lines, *(f"  {line}" for line in reason.missing)]


def _write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    from ...data.cache import write_atomic

    write_atomic(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
