from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from quince.eval.board import build_board
from quince.eval.compression.capsule_charts import accuracy_chart, break_even_chart
from quince.eval.compression.capsule_tables import Entry, suite_grids
from quince.eval.compression.costs import Prices, Timing
from quince.eval.compression.reading_suite import Written, problems
from quince.eval.compression.results import LABELS, Results
from quince.eval.engines.base import Sampling
from quince.eval.measure.analyses import analysed, keep_analysis
from quince.eval.measure.evaluate import Evaluation
from quince.eval.measure.problems import SampleLog
from quince.eval.measure.records import read_record, write_record
from quince.eval.measure.settings import Settings
from quince.eval.show.figures import alone

HOSTILE = '<script>alert(1)</script>|`x`&"'
PASSAGES = 60
SHARES = {"full": 0.98, "capsule": 0.85, "oracle": 0.97, "random_facts": 0.5, "swapped": 0.01, "none": 0.0}


def made_up(second: str = "B", scale: float = 1.0) -> Results:
    """Results of two readers, drawn from a fixed seed."""
    draw = np.random.default_rng(0)

    def right(share: float) -> list[float]:
        return (draw.binomial(3, min(1.0, share * scale), PASSAGES) / 3).tolist()

    readers = ["A", second]
    lengths = {"full": 90, "none": 0, "first": 10}
    return Results(
        ids=[f"p{i}" for i in range(PASSAGES)],
        readers=readers,
        right={source: {name: right(SHARES.get(source, 0.1)) for name in readers} for source in LABELS},
        tokens={source: {name: [lengths.get(source, 12)] * PASSAGES for name in readers} for source in LABELS},
        budgets=[12] * PASSAGES,
        written=[12] * (PASSAGES - 3) + [14] * 3,
        stopped=[True] * PASSAGES,
        grounded=[None] + [1.0] * (PASSAGES - 1),
        compressor_read=[100] * PASSAGES,
        compressor_written=[13] * PASSAGES,
        timings={
            "A": [Timing(1, 4.5, 1.0, 0.3), Timing(8, 9.0, 8.0, 2.0), Timing(64, 50.0, 40.0, 41.0)],
            second: [Timing(1, 0.2, 1.0, 0.3)],
        },
        prices=Prices(f"assumed {HOSTILE}", "USD", 1.0, 0.1, 0.2, 0.8),
    )


def record(folder, model: str, results: Results):
    """A record folder of a compressor."""
    settings = Settings(
        suite="compression",
        model=model,
        revision=None,
        model_fingerprint=model,
        dtype="float32",
        engine="transformers",
        engine_version="5",
        sampling=Sampling(temperature=0.0),
        reward={"kind": "compression"},
        data=[],
        rows_sha256="",
        template_sha256="",
    )
    rows = [
        {"id": i, "task": "compression", "passage": f"{i} {HOSTILE}", "questions": "[]", "budget": 12}
        for i in results.ids
    ]
    answers = problems(rows, [Written(HOSTILE, 100, 13, True)] * PASSAGES, results)
    log = SampleLog(folder, settings.hash)
    log.append(answers)
    log.finish()
    keep_analysis(folder, settings, results.as_dict())
    write_record(folder, Evaluation(tuple(answers), settings.sampling, (1,)), settings)
    return read_record(folder)


def grid(grids, title):
    return next(grid for grid in grids if grid.title.endswith(title))


def row(found, name):
    return next(cells for cells in found.rows if cells[0].startswith(name))


def test_tables_say_what_was_measured():
    results = made_up()
    grids = suite_grids([Entry("m", results)])
    accuracy = row(grid(grids, "right answers, %"), "capsule")
    assert accuracy[1].startswith(f"{100 * np.mean(results.right['capsule']['A']):.1f} [")
    assert accuracy[3:] == ("12.0", "12.0")
    figures = grid(grids, "capsules")
    assert row(figures, "Length cut")[1].startswith("86.7")
    assert row(figures, "Written over")[1].startswith("5.0 [")
    assert row(figures, "Longest")[1] == "2"
    assert row(figures, "Transfer")[1] == "–"
    time = grid(grids, "time")
    assert [cells[-1] for cells in time.rows] == ["7", "2", "never", "1"]
    assert "10 against a cached prefix" not in grid(grids, "1000 passages").note


def test_what_is_not_as_long_says_so():
    differences = grid(suite_grids([Entry("m", made_up())]), "differences in points")
    names = [cells[0] for cells in differences.rows]
    assert "first tokens (-17 %)" in names
    assert "last tokens" in names
    assert "full passage (+650 %)" in names


def test_several_compressors_stand_side_by_side():
    grids = suite_grids([Entry("one", made_up()), Entry("two", replace(made_up("C"), timings={}, prices=None))])
    side = grid(grids, "Compressors")
    assert [cells[0] for cells in side.rows] == ["one", "two"]
    assert side.header[1:4] == ("Right, A", "Right, B", "Right, C")
    assert side.rows[1][2] == "–" != side.rows[0][2]
    assert sum(found.title.endswith("time") for found in grids) == 1


@pytest.mark.parametrize("results", [made_up(), made_up(second=HOSTILE), made_up(scale=0.0)])
def test_charts_are_well_formed(results):
    charts = [accuracy_chart(results, HOSTILE), *(break_even_chart(t, HOSTILE) for t in results.timings.values())]
    for chart in charts:
        ElementTree.fromstring(alone(chart))
        assert "<script>" not in chart
        inside = [float(v) for v in re.findall(r'(?:x|cx|y|cy)="(-?[\d.]+)"', chart)]
        assert all(0 <= value <= 720 for value in inside)


@pytest.mark.parametrize("timing", [Timing(1, 0.0, 1.0, 1.0), Timing(1, 1e-6, 1.0, 0.005), Timing(1, 300.0, 1.0, 2.0)])
def test_any_timing_can_be_drawn(timing):
    chart = break_even_chart([timing], "time")
    places = re.search(r'class="line c0" points="([^"]+)"', chart).group(1).split()
    assert all(29 <= float(place.split(",")[1]) <= 275 for place in places)
    assert ">100<" in chart


def test_free_readers_save_nothing():
    free = replace(made_up(), prices=Prices("own machine", "EUR", 0.0, None, 0.0, 0.0))
    assert grid(suite_grids([Entry("m", free)]), "1000 passages").rows[0][-2:] == ("–", "–")


def test_a_page_and_a_board_are_written(tmp_path):
    records = [record(tmp_path / "a", "runs/one/model", made_up()), record(tmp_path / "b", "runs/two/model", made_up())]
    ((analysis, suites),) = analysed(records)
    page = analysis.write_page(suites, tmp_path / "page")
    text = page.read_text(encoding="utf-8")
    for file in re.findall(r"\]\((.+?\.svg)\)", text):
        ElementTree.fromstring((page.parent / file).read_text(encoding="utf-8"))
    assert text.count("### one:") == text.count("### two:") == 5
    board = build_board([r.folder for r in records], tmp_path / "board").read_text(encoding="utf-8")
    assert "Prompt compression" in board and "Compressors" in board
    assert HOSTILE not in board and "<script>alert" not in text


def test_tables_on_the_terminal(tmp_path):
    ((analysis, suites),) = analysed([record(tmp_path / "a", "runs/one/model", made_up())])
    assert len(analysis.tables(suites)) == 5


def test_a_page_without_timing_or_prices(tmp_path):
    bare = replace(made_up(), timings={}, prices=None)
    ((analysis, suites),) = analysed([record(tmp_path / "a", "runs/one/model", bare)])
    text = analysis.write_page(suites, tmp_path / "page").read_text(encoding="utf-8")
    assert "1000 passages" not in text and text.count(".svg") == 1
