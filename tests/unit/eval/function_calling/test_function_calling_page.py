from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import pytest
from quince.data.function_calling.generator import rows
from quince.eval.board import build_board
from quince.eval.engines.base import Completion, Sampling
from quince.eval.function_calling.call_analysis import write_entries
from quince.eval.function_calling.call_charts import confusion_chart, scenario_chart
from quince.eval.function_calling.call_rates import Report
from quince.eval.function_calling.call_tables import Entry, suite_grids
from quince.eval.function_calling.cases import Case
from quince.eval.measure.analyses import ANALYSIS_FILE, analysed, lacks_analysis, read_analysis, write_analysis
from quince.eval.measure.evaluate import Evaluation, judge
from quince.eval.measure.problems import RecordError, SampleLog
from quince.eval.measure.records import read_record, write_record
from quince.eval.measure.settings import Settings
from quince.eval.measure.statistics import paired_difference
from quince.eval.show.figures import alone
from quince.eval.show.tables import p_text
from quince.recipes.config import load_recipe
from quince.recipes.evaluate import evaluation
from quince.rewards.base import make_reward

HOSTILE = '<script>alert(1)</script>|`x`&"'
REFUSAL = "I cannot do that with the tools I have."


def evaluated(folder, model: str, answer: str, suite: str = "values", scenario: str | None = None):
    """A record folder of a model that always gives one answer."""
    asked = rows("values", 60, seed=1, languages=["en"])
    if scenario is not None:
        asked = [row | {"scenario": scenario} for row in asked]
    reward = make_reward("function_call")
    completions = [[Completion(answer, (1, 2), None, "stop")] for _ in asked]
    problems = judge(asked, reward, completions, completions)
    settings = Settings(
        suite=suite,
        model=model,
        revision=None,
        model_fingerprint=model,
        dtype="float32",
        engine="transformers",
        engine_version="5",
        sampling=Sampling(n=1, temperature=0.0),
        reward={"kind": "function_call", "format": "hermes"},
        data=[],
        rows_sha256="",
        template_sha256="",
    )
    log = SampleLog(folder, settings.hash)
    log.append(problems)
    log.finish()
    write_analysis(folder, settings, asked, problems, reward)
    write_record(folder, Evaluation(tuple(problems), settings.sampling, (1,)), settings)
    return settings


@pytest.fixture
def records(tmp_path):
    evaluated(tmp_path / "mute", "tiny", "")
    evaluated(tmp_path / "refuses", "runs/refuses/model", REFUSAL)
    return [read_record(tmp_path / name) for name in ("mute", "refuses")]


def cells(text: str, title: str, row: str) -> list[str]:
    """Cells of a row of a Markdown table under a title."""
    table = text.split(f"### {title}\n")[1].split("\n\n#")[0]
    line = next(line for line in table.splitlines() if line.startswith(f"| {row} |"))
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_a_page_is_written_and_has_the_numbers(records, tmp_path):
    ((analysis, suites),) = analysed(records)
    path = analysis.write_page(suites, tmp_path / "page")
    text = path.read_text(encoding="utf-8")
    refused = [c for c in suites["values"][1].data if c["wanted"] == "refuse"]
    irrelevant = sum(c["scenario"] == "irrelevant" for c in refused)
    right = sum(c["right"] for c in suites["values"][1].data)
    assert right == len(refused) > irrelevant > 0
    row = cells(text, "Accuracy by scenario", "irrelevant")
    assert row[0] == str(irrelevant) and row[2].startswith("0.0") and row[3].startswith("100.0")
    everything = cells(text, "Accuracy by scenario", "all")
    assert everything[3].startswith(f"{100 * right / 60:.1f}") and everything[5] == p_text(
        paired_difference([0] * 60, [i < right for i in range(60)])
    )
    assert cells(text, "Decisions of refuses", "refuse")[2] == str(len(refused))
    assert cells(text, "What went wrong, answers", "mute")[0] == "60"
    assert "tiny is below a trivial baseline in " in text
    for name in re.findall(r"\]\((.+?)\)", text):
        assert ElementTree.parse(path.parent / name).getroot().tag.endswith("svg")


def test_tables_are_printed(records):
    ((analysis, suites),) = analysed(records)
    tables = analysis.tables(suites)
    assert [str(table.title) for table in tables] == ["values · Accuracy by scenario", "values · Rates"]
    assert len(analysis.tables(suites | {"names": suites["values"]})) == 6


def test_the_board_has_a_section(records, tmp_path):
    page = build_board([r.folder for r in records], tmp_path / "board").read_text(encoding="utf-8")
    assert page.count("<h3>Function calls</h3>") == 1
    assert "Decisions of refuses" in page and "Arguments by class" not in page
    assert page.count('class="cell"') == 2 * 4 * 5


def test_text_cannot_become_markup(tmp_path):
    evaluated(tmp_path / "bad", HOSTILE, REFUSAL, scenario=HOSTILE)
    page = build_board([tmp_path / "bad"], tmp_path / "board").read_text(encoding="utf-8")
    assert "alert(1)</script>|" not in page
    ((analysis, suites),) = analysed([read_record(tmp_path / "bad")])
    text = analysis.write_page(suites, tmp_path / "page").read_text(encoding="utf-8")
    assert "<script" not in text
    assert all(
        line.count("|") - line.count("\\|") == 6 for line in text.splitlines() if "alert" in line and "60" in line
    )
    for file in (tmp_path / "page").glob("*.svg"):
        ElementTree.parse(file)


def test_charts_are_whole_and_stay_inside(records):
    ((_, suites),) = analysed(records)
    report = Report(tuple(Case.from_dict(case) for case in suites["values"][1].data))
    for chart in (scenario_chart([Entry("a<b", report)], "t"), confusion_chart(report, "t")):
        root = ElementTree.fromstring(alone(chart))
        width = float(root.get("width"))
        for node in root.iter():
            for name in ("cx", "x"):
                assert 0 <= float(node.get(name, 0)) <= width
    assert scenario_chart([Entry("empty", Report(()))], "t").endswith("</svg>")


def test_a_report_without_cases_has_tables(tmp_path):
    assert write_entries({"none": [Entry("nobody", Report(()))]}, tmp_path).exists()
    assert suite_grids([Entry("nobody", Report(()))])


def test_analyses_belong_to_their_answers(tmp_path):
    settings = evaluated(tmp_path / "one", "tiny", "")
    assert not lacks_analysis(tmp_path / "one", settings)
    file = tmp_path / "one" / ANALYSIS_FILE
    file.write_text(json.dumps(json.loads(file.read_text()) | {"settings_hash": "other"}))
    with pytest.raises(RecordError, match="evaluate again"):
        read_analysis(tmp_path / "one", settings)
    assert lacks_analysis(tmp_path / "one", settings)
    file.write_text("{")
    with pytest.raises(RecordError, match="not an analysis"):
        read_analysis(tmp_path / "one", settings)
    file.unlink()
    assert read_analysis(tmp_path / "one", settings) is None
    assert analysed([read_record(tmp_path / "one")]) == []


RECIPE = """
extends: _base/eval.yaml
model: {id: tiny, dtype: float32}
suites:
  - name: values
    data: [{kind: function_calls, split: values, size: 6, scenarios: [chat, irrelevant], max_tools: 1}]
    reward: {kind: function_call}
    sampling: {n: 1, temperature: 0.0, max_tokens: 4}
"""


def test_the_command_reports_and_does_nothing_twice(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "140")
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)
    (folder,) = evaluation.run(load_recipe(str(path), [f"output_dir={tmp_path / 'run'}"]))
    assert "Accuracy by scenario" in capsys.readouterr().out
    assert (tmp_path / "run/function_calls.md").exists()
    kept = (folder / ANALYSIS_FILE).read_bytes()
    evaluation.run(load_recipe(str(path), [f"output_dir={tmp_path / 'run'}"]))
    assert "nothing to run" in capsys.readouterr().out
    (folder / ANALYSIS_FILE).unlink()
    baseline = [f"output_dir={tmp_path / 'run'}", f"baseline={tmp_path / 'run'}"]
    evaluation.run(load_recipe(str(path), baseline))
    assert (folder / ANALYSIS_FILE).read_bytes() == kept
    assert "Difference" in capsys.readouterr().out
