from __future__ import annotations

import functools
import json
import subprocess
import sys
from pathlib import Path

import pytest
from quince.eval.measure.evaluate import EvaluationError
from quince.eval.measure.records import read_record
from quince.recipes.config import load_recipe
from quince.recipes.config.language.library import LIBRARY
from quince.recipes.evaluate import evaluation
from quince.recipes.parts import loading

pytest.importorskip("lm_eval")

CHOICE = """
task: bg_choice
dataset_path: json
dataset_kwargs: {data_files: {test: bg.jsonl}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: choices
doc_to_target: right
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
  - {metric: acc_norm, aggregation: mean, higher_is_better: true}
"""
WRITTEN = """
task: sums
dataset_path: json
dataset_kwargs: {data_files: {test: sums.jsonl, train: sums.jsonl}}
training_split: train
fewshot_split: train
test_split: test
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: answer
generation_kwargs: {until: [" "], max_gen_toks: 4, do_sample: false}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
"""
QUESTIONS = ("Кое е животно?", "Кое е плод?", "Кое е цвят?", "Кое е река?", "Кое е град?", "Кое е число?")
RECIPE = """
extends: _base/eval.yaml
model: {id: MODEL, dtype: float32}
retention:
  tasks: [{name: bg_choice}, {name: sums}]
  task_folders: [FOLDER]
"""


@pytest.fixture(scope="module", autouse=True)
def tasks_of_lm_eval_are_read_once():
    """Its 14,000 files are the same for every test and take seconds to read."""
    from lm_eval.tasks import _index

    build, shipped = _index.TaskIndex.build, Path(_index.__file__).parent
    own = functools.cache(lambda: build([shipped]))
    patch = pytest.MonkeyPatch()
    found = staticmethod(lambda paths: (own() if shipped in paths else {}) | build([p for p in paths if p != shipped]))
    patch.setattr(_index.TaskIndex, "build", found)
    yield
    patch.undo()


def write(folder, documents: dict[str, list[dict]]) -> None:
    for name, rows in documents.items():
        (folder / name).write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")


@pytest.fixture
def tasks(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "datasets"))
    folder = tmp_path / "tasks"
    folder.mkdir()
    (folder / "bg_choice.yaml").write_text(CHOICE)
    (folder / "sums.yaml").write_text(WRITTEN)
    choices = [
        {"question": q, "choices": ["куче", "праг"], "right": i % 2, "part": i // 2} for i, q in enumerate(QUESTIONS)
    ]
    sums = [{"question": f"{i} + 1 =", "answer": str(i + 1)} for i in range(5)]
    write(folder, {"bg.jsonl": choices, "sums.jsonl": sums})
    return folder


@pytest.fixture
def recipe(tmp_path, tasks, random_model):
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE.replace("MODEL", str(random_model)).replace("FOLDER", str(tasks)))

    def load(*overrides: str, out: str = "run"):
        return load_recipe(str(path), [f"output_dir={tmp_path / out}", *overrides])

    return load


@pytest.fixture
def asked(monkeypatch):
    """Counts of prompts that an engine was asked to score and to answer."""
    counts = {"score": 0, "generate": 0}
    build = loading.build_engine

    def counting(*arguments):
        engine = build(*arguments)
        for name in counts:
            monkeypatch.setattr(engine, name, counted(name, getattr(engine, name)), raising=False)
        return engine

    def counted(name, function):
        def call(prompts, *rest):
            counts[name] += len(prompts)
            return function(prompts, *rest)

        return call

    monkeypatch.setattr(loading, "build_engine", counting)
    return counts


def test_tasks_become_records_and_one_table(recipe, tmp_path, asked, capsys):
    choice, written = evaluation.run(recipe())
    assert asked == {"score": 12, "generate": 5}
    record = read_record(choice)
    assert (record.settings.suite, record.settings.reward["kind"], len(record.problems())) == (
        "bg_choice",
        "lm_eval",
        6,
    )
    first = record.problems()[0]
    assert first.question == QUESTIONS[0] and first.answers[0].text in ("куче", "праг")
    assert [p.correct for p in record.problems()] == [
        int(["куче", "праг"].index(p.answers[0].text) == i % 2) for i, p in enumerate(record.problems())
    ]
    assert all(" " not in p.answers[0].text for p in read_record(written).problems())
    assert "What was kept" in capsys.readouterr().out
    table = (tmp_path / "run" / "retention.md").read_text()
    assert "| bg\\_choice | 6 |" in table and "| All documents | 11 |" in table
    assert (tmp_path / "run" / "board" / "index.html").is_file()


def test_scores_are_those_of_lm_eval_on_the_same_log_likelihoods(recipe, random_model, tasks):
    from lm_eval.evaluator import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    choice, written = evaluation.run(recipe())
    model = HFLM(pretrained=str(random_model), device="cpu", batch_size=4, dtype="float32")
    manager = TaskManager(include_path=str(tasks), include_defaults=False)
    index = manager.task_index
    for name, file in (("bg_choice", "bg.jsonl"), ("sums", "sums.jsonl")):
        splits = index[name].cfg["dataset_kwargs"]["data_files"]
        files = {split: str(tasks / file) for split in splits}
        index[name].cfg["dataset_kwargs"] = {"data_files": files}
        index[name].yaml_path = None
    theirs = simple_evaluate(model, tasks=["bg_choice", "sums"], task_manager=manager, bootstrap_iters=0)
    for folder, name, metric in ((choice, "bg_choice", "acc"), (written, "sums", "exact_match")):
        problems = read_record(folder).problems()
        assert [p.answers[0].value for p in problems] == [sample[metric] for sample in theirs["samples"][name]]
    texts = [sample["filtered_resps"][0] for sample in theirs["samples"]["sums"]]
    assert [p.answers[0].text for p in read_record(written).problems()] == texts


def test_what_is_done_is_not_asked_again_and_other_scores_ask_nothing(recipe, asked):
    (choice, _) = evaluation.run(recipe())
    before = (choice / "record.json").read_bytes()
    evaluation.run(recipe())
    assert asked == {"score": 12, "generate": 5} and (choice / "record.json").read_bytes() == before
    evaluation.run(recipe("retention.tasks.0.metric=acc_norm", "retention.tasks.0.cluster=part"))
    assert asked == {"score": 12, "generate": 5}
    record = read_record(choice)
    assert record.settings.reward["metric"] == "acc_norm"
    assert (record.metrics["pass@1"].clusters, record.metrics["pass@1"].problems) == (3, 6)


def test_a_changed_setting_asks_anew(recipe, asked, tasks):
    (_, written) = evaluation.run(recipe())
    old = read_record(written).settings.hash
    evaluation.run(recipe("retention.tasks.1.shots=1"))
    assert asked == {"score": 12, "generate": 10}
    assert read_record(written).settings.hash != old and "=" in read_record(written).problems()[0].question[5:]
    write(tasks, {"sums.jsonl": [{"question": "7 + 7 =", "answer": "14"}]})
    evaluation.run(recipe())
    assert asked == {"score": 12, "generate": 11} and len(read_record(written).problems()) == 1


def test_an_interrupted_run_goes_on_with_the_other_requests(recipe, asked, monkeypatch):
    whole = [read_record(folder).problems() for folder in evaluation.run(recipe(out="whole"))]
    asked.update(score=0, generate=0)
    monkeypatch.setattr("quince.eval.retention.harness_model._AT_ONCE", 4)
    from quince.eval.retention.harness_model import AnswerLog

    append, calls = AnswerLog.append, []

    def killed_in_the_middle_of_a_line(log, answers):
        append(log, answers)
        calls.append(1)
        if len(calls) == 2:
            with log._path.open("a") as file:
                file.write('["cut')
            raise KeyboardInterrupt

    monkeypatch.setattr(AnswerLog, "append", killed_in_the_middle_of_a_line)
    with pytest.raises(KeyboardInterrupt):
        evaluation.run(recipe(out="again"))
    assert asked == {"score": 8, "generate": 0}
    again = [read_record(folder).problems() for folder in evaluation.run(recipe(out="again"))]
    assert asked == {"score": 12, "generate": 5} and again == whole


def test_before_and_after_stand_in_one_table_with_paired_differences(recipe, tmp_path, monkeypatch):
    evaluation.run(recipe(out="base"))
    write(tmp_path / "tasks", {"sums.jsonl": [{"question": f"{i} + 1 =", "answer": str(i + 1)} for i in range(1, 5)]})
    evaluation.run(recipe(f"baseline={tmp_path / 'base'}", "model.dtype=bfloat16"))
    rows = [
        [cell.strip() for cell in line.split("|")] for line in (tmp_path / "run/retention.md").read_text().splitlines()
    ]
    header, choice, sums, together = [row[1:-1] for row in rows if len(row) > 6 and not row[1].startswith((":", "-"))]
    assert header[:2] == ["task", "documents"] and header[-2:] == ["difference", "p"]
    assert [row[:2] for row in (choice, sums, together)] == [
        ["bg\\_choice", "6"],
        ["sums", "4"],
        ["All documents", "10"],
    ]
    assert sums[-2].startswith("+0.0 \\[-")  # Newcombe's interval: nothing changed, yet 4 documents show little
    assert sums[-1] == "1.000"


def test_a_group_becomes_a_suite_for_every_task(recipe, tasks):
    (tasks / "both.yaml").write_text("group: both\ntask: [bg_choice, sums]\n")
    folders = evaluation.run(recipe("retention.tasks=[{name: both}]", "limit=2"))
    assert [folder.name for folder in folders] == ["bg_choice", "sums"]
    assert [len(read_record(folder).problems()) for folder in folders] == [2, 2]
    with pytest.raises(EvaluationError, match="sums comes twice"):
        evaluation.run(recipe("retention.tasks=[{name: both}, {name: sums}]"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"{{question}}"', "!function evil.text", "names Python code"),
        ("task: sums", "task: sums\nclass: evil.Task", "names Python code"),
        ("{metric: exact_match,", "{metric: evil.py,", r"metric evil\.py is not lm-eval's"),
        ("{metric: exact_match,", "{metric: exact_match, hf_evaluate: true,", "metric exact_match is not lm-eval's"),
        ('"{{question}}"', '"{{question.__class__.__mro__}}"', "sums does not load .SecurityError"),
        ("output_type: generate_until", "output_type: generate_until\nunsafe_code: true", "runs what the model writes"),
        ("sums.jsonl", "nowhere.jsonl", "sums does not load"),
        ("exact_match, aggregation: mean", "exact_match, aggregation: median", "no metric that is a mean"),
    ],
)
def test_a_task_that_would_run_code_or_does_not_load_is_refused(recipe, tasks, old, new, message):
    (tasks / "evil.py").write_text("raise SystemExit('imported')\n")
    (tasks / "sums.yaml").write_text(WRITTEN.replace(old, new))
    with pytest.raises(EvaluationError, match=message):
        evaluation.run(recipe())


def test_code_that_was_missed_in_a_task_file_is_not_run(recipe, tasks):
    (tasks / "evil.py").write_text("raise SystemExit('imported')\n")
    (tasks / "parent.txt").write_text(WRITTEN.replace('"{{question}}"', "!function evil.text"))
    (tasks / "sums.yaml").write_text("include: parent.txt\ntask: sums\n")
    _, written = evaluation.run(recipe())
    assert "evil.text" in read_record(written).problems()[0].question


def test_code_runs_when_it_is_allowed(recipe, tasks):
    (tasks / "own.py").write_text("def text(document):\n    return document['question'].upper() + ' !'\n")
    task = WRITTEN.replace('"{{question}}"', "!function own.text")
    (tasks / "sums.yaml").write_text(task.replace("output_type:", "unsafe_code: true\noutput_type:"))
    _, written = evaluation.run(recipe("retention.run_code=true"))
    assert read_record(written).problems()[0].question == "0 + 1 = !"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("retention.tasks.0.name=no_such_task", "found 'no_such_task' · a task of lm-eval"),
        ("retention.tasks.1.filter=strict", "sums · filter 'strict' · one of none"),
        ("retention.tasks.0.metric=bleu", "bg_choice · found 'bleu' · one of acc, acc_norm"),
        (
            "retention.tasks.0.cluster=passage",
            "bg_choice · cluster 'passage' · a field of a document: question, choices",
        ),
        ("retention.task_folders=[nowhere]", "found no folder nowhere"),
    ],
)
def test_what_a_recipe_gets_wrong_is_named(recipe, override, message):
    with pytest.raises(EvaluationError, match=message):
        evaluation.run(recipe(override))


def test_without_lm_eval_the_message_says_how_to_get_it(recipe, monkeypatch):
    monkeypatch.setitem(sys.modules, "lm_eval.tasks", None)
    with pytest.raises(EvaluationError, match=r"lm-eval is not there .* pip install 'quince\[eval\]'"):
        evaluation.run(recipe())


def test_a_long_prompt_loses_its_beginning_and_a_long_text_is_asked_in_windows(random_model):
    from quince.eval.retention.harness_model import AnswerLog, EngineModel
    from quince.recipes.config.model import Model, TransformersEngine
    from quince.recipes.parts.models import load_tokenizer

    section = Model(id=str(random_model), dtype="float32")
    engine = loading.build_engine(section, TransformersEngine(kind="transformers"), load_tokenizer(section))

    class Memory(AnswerLog):
        def __init__(self):
            self.answers = {}

        def append(self, answers):
            self.answers |= answers

    model = EngineModel(engine, Memory(), 4, 8)
    assert model._shortened([1, 2, 3, 4, 5, 6, 7], [8, 9]) == ([2, 3, 4, 5, 6, 7], [8, 9])
    assert model._shortened([1, 2], list(range(20))) == ([2], list(range(13, 20)))
    text = "one two three four five six seven eight"
    ids = [model.prefix_token_id, *model.tok_encode(text, add_special_tokens=False)]

    class Request:
        args = (text,)

    (total,) = model.loglikelihood_rolling([Request])
    parts = [engine.score([ids[at : at + 1]], [ids[at + 1 : at + 8]])[0] for at in range(0, len(ids) - 1, 7)]
    assert total == pytest.approx(sum(map(sum, parts)))


def test_the_documents_of_the_tiny_tasks_are_those_of_the_generators(tmp_path):
    script = Path(__file__).parents[4] / "scripts" / "tiny_tasks.py"
    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True, timeout=100)
    made = sorted(tmp_path.iterdir())
    assert [file.stem for file in made] == ["tiny_idioms", "tiny_strategies", "tiny_words_bg"]
    for file in made:
        assert file.read_bytes() == (LIBRARY / "_lm_eval" / file.name).read_bytes()
