"""Every mistake at once: where, what was found, what is allowed, and the closest guess."""

from __future__ import annotations

import pytest
from quince.recipes.config import RecipeErrors, load_recipe
from quince.recipes.config.language.errors import did_you_mean, is_rank_zero, one_of
from quince.recipes.config.rlvr import verifiers

RECIPE = """extends: rlvr/tiny_dph_js.yaml
kind: rlvr
model: {id: tiny, dtype: float31}
data:
  - {kind: sql_idoms, size: 12}
rewards:
  - kind: sql_execution
    timeouts: 3
    weight: "1.0"
split: {threshold: 9}
divergence:
  kind: jensen_shanon
  weight: 0.1
advantage: {kind: pass_at_k, k: 99}
trainer:
  learning_rat: 1e-5
  num_generations: 7
  max_steps: 8.7
  loss_type: foo
  optim: adamw
seed: -1
launch: {proceses: 3}
"""


def problems(text, tmp_path, overrides=()):
    path = tmp_path / "r.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecipeErrors) as caught:
        load_recipe(str(path), overrides)
    return caught.value.problems


def problem(text, tmp_path, *overrides):
    found = problems(text, tmp_path, overrides)
    assert len(found) == 1, [str(item) for item in found]
    return found[0]


def test_all_mistakes_of_a_recipe_come_at_once_with_their_lines(tmp_path):
    found = problems(RECIPE, tmp_path)
    lines = [(int(item.where.rpartition(":")[2]), item.field) for item in found]
    assert lines == [
        (3, "model.dtype"),
        (5, "data.0.kind"),
        (8, "rewards.0.timeouts"),
        (9, "rewards.0.weight"),
        (10, "split.threshold"),
        (12, "divergence.kind"),
        (14, "advantage.k"),
        (16, "trainer.learning_rat"),
        (17, "trainer.num_generations"),
        (18, "trainer.max_steps"),
        (19, "trainer.loss_type"),
        (20, "trainer.optim"),
        (21, "seed"),
        (22, "launch.proceses"),
    ]
    assert all(item.where.startswith(str(tmp_path)) and item.found and item.allowed for item in found)
    hints = {item.field: item.hint for item in found if item.hint}
    assert hints == {
        "model.dtype": "did you mean `float32`?",
        "data.0.kind": "did you mean `sql_idioms`?",
        "rewards.0.timeouts": "did you mean `timeout_s`?",
        "divergence.kind": "did you mean `jensen_shannon`?",
        "trainer.learning_rat": "did you mean `learning_rate`?",
        "trainer.optim": "did you mean `adamw_torch`?",
        "launch.proceses": "did you mean `processes`?",
    }


@pytest.mark.parametrize(
    ("override", "field", "words"),
    [
        ("divergence.wieght=1", "divergence.wieght", "did you mean `weight`?"),
        ("divergence.weight=-1", "divergence.weight", "greater than or equal to 0"),
        ("divergence.weight=.inf", "divergence.weight", "finite"),
        ('divergence.weight="0.5"', "divergence.weight", "without quotes"),
        ("divergence.alpha=0.5", "divergence.alpha", "no such field"),
        ("divergence.on=rollouts", "divergence.on", "rehearsal"),
        ("divergence={kind: alpha, weight: 1, alpha: 2}", "divergence.alpha", "less than or equal to 1"),
        ("divergence={kind: reverse_kl, weight: 1, on: rollouts}", "divergence.estimator", "missing"),
        ("divergence={kind: forward_kl}", "divergence.weight", "missing"),
        ("split.rollouts=0", "split.rollouts", "greater than or equal to 1"),
        ("split.rollouts=true", "split.rollouts", "integer"),
        ("split.engine.kind=vlm", "split.engine.kind", "did you mean `vllm`?"),
        ("model.adapter.rank=8", "model.adapter.kind", "missing"),
        ("model.adapter.kind=lra", "model.adapter.kind", "did you mean `lora`?"),
        ("data=[]", "data", "at least 1 item"),
        ("data=null", "data", "list"),
        ("data.1.kind=countdown", "data.1", "no reward can judge"),
        ("data.0.split=dev", "data.0.split", "one of train, in_domain, cross_domain"),
        ("rewards.0.kind=math", "rewards.0.kind", "sql_idioms has database, gold_sql"),
        ("kind=rlrv", "kind", "did you mean `rlvr`?"),
        ("modle.id=x", "modle", "did you mean `model`?"),
        ("trainer=3", "trainer", "dictionary"),
        ("trainer.output_dir=x", "trainer.output_dir", "top level"),
        ("trainer.beta=0.1", "trainer.beta", "divergence"),
        ("trainer.max_seq_length=4", "trainer.max_seq_length", "a field of GRPOConfig (trl "),
        ("trainer.bf16=1", "trainer.bf16", "true or false or null"),
        ("trainer.top_p=1.5", "trainer.top_p", "greater than 0, at most 1"),
        ("trainer.lr_scheduler_type=cosin", "trainer.lr_scheduler_type", "did you mean `cosine`?"),
        ("trainer.learning_rate=[1]", "trainer.learning_rate", "a number"),
        ("trainer.save_strategy=false", "trainer.save_strategy", "one of no, steps"),
    ],
)
def test_one_mistake_gives_one_message(override, field, words, tmp_path):
    found = problem("extends: rlvr/tiny_dph_js.yaml\n", tmp_path, override)
    assert found.where == "command line"
    assert found.field == field or found.field.startswith(field.rpartition(".")[0])
    assert words in str(found)


@pytest.mark.parametrize(
    ("overrides", "field", "words"),
    [
        (["trainer.num_generations=6"], "trainer.num_generations", "60 or 66"),
        (["trainer.per_device_train_batch_size=20"], "trainer.per_device_train_batch_size", "16 or 24"),
        (
            ["trainer.per_device_train_batch_size=3", "launch.processes=2", "rehearsal.batch_size=2"],
            "trainer.per_device_train_batch_size",
            "4, or",
        ),
        (["advantage={kind: pass_at_k, k: 9}"], "advantage.k", "at most num_generations = 8"),
        (["advantage={kind: pkpo, k: 9}"], "advantage.k", "at most num_generations = 8"),
        (["split.rollouts=4"], "split.rollouts", "at most rollouts = 4"),
        (["split=null"], "split", "needs stored completions"),
        (["trainer.temperature=0.7"], "trainer.temperature", "samples of temperature 1"),
        (["trainer.loss_type=cispo"], "trainer.epsilon_high", "at least 1; 5 is usual"),
        (["trainer.loss_type=cispo", "trainer.epsilon_high=0.28"], "trainer.epsilon_high", "the largest ratio itself"),
        (["verifier=maths"], "verifier", "one of 0 (sql_execution)"),
        (
            ["trainer.multi_objective_aggregation=normalize_then_sum"],
            "trainer.multi_objective_aggregation",
            "`advantage` normalises them",
        ),
        (["trainer.use_bias_correction_kl=false"], "trainer.use_bias_correction_kl", "no such correction"),
        (["rehearsal.batch_size=15", "trainer.gradient_accumulation_steps=4"], "rehearsal.batch_size", "12 or 16"),
        (["divergence.estimator=top_k"], "divergence.top_k", "a count"),
        (["divergence.top_k=8"], "divergence.top_k", "only with `estimator: top_k`"),
        (["model.id=Qwen/Qwen2.5-Math-7B", "split.max_tokens=4096"], "split.max_tokens", "less than 4096"),
        (
            ["model.id=Qwen/Qwen3-4B-Base", "trainer.max_completion_length=50000"],
            "trainer.max_completion_length",
            "40960",
        ),
        (["rewards.0.semantics=bag"], "rewards.0.strict", "`bag` pays for rows in a wrong order"),
        (["data.0={kind: bird}"], "rewards.0.strict", "`bird` pays for rows in a wrong order"),
        (["launch.accelerate_config=fsdp9"], "launch.accelerate_config", "no such file"),
        (
            ["launch.processes=4", "trainer.use_vllm=true", "trainer.vllm_tensor_parallel_size=3"],
            "trainer.vllm_tensor_parallel_size",
            "one of 1, 2, 4",
        ),
    ],
)
def test_fields_that_do_not_fit_together(overrides, field, words, tmp_path):
    found = problem("extends: rlvr/tiny_dph_js.yaml\n", tmp_path, *overrides)
    assert found.field == field or overrides[0].startswith(found.field)
    assert words in str(found)


def test_arithmetic_that_fits_is_accepted():
    load_recipe(
        "rlvr/tiny_dph_js", ["trainer.num_generations=4", "trainer.per_device_train_batch_size=2", "launch.processes=2"]
    )


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["suites.0.ks=[1, 128]"], "k of at most 64"),
        (["suites.0.sampling.n=8"], "Pass@16 from n = 8"),
        (["suites.1.name=in_domain"], "names that differ"),
        (["suites.0.name=a b"], "pattern"),
        (["suites.0.reward.kind=exact_match"], "needs the columns accepted"),
        (["engine.kind=vlm"], "did you mean `vllm`?"),
        (["engine.kind=vllm"], "a divergence measured with `vllm` · engine.kind: transformers"),
    ],
)
def test_evaluations_are_checked(overrides, words, tmp_path):
    assert words in str(problem("extends: eval/tiny.yaml\n", tmp_path, *overrides))


def test_pretraining_is_checked(tmp_path):
    assert "one of 1, 2, 4" in str(problem("extends: pretrain/tiny.yaml\n", tmp_path, "architecture.kv_heads=3"))
    assert "did you mean `countdown`?" in str(
        problem("extends: pretrain/tiny.yaml\n", tmp_path, "mixture.2.kind=coutdown")
    )


def test_syntax_and_schema_problems_come_together(tmp_path):
    found = problems("extends: rlvr/tiny_grpo.yaml\nseed: 1\nseed: x\nmodel: {idd: 3}\n", tmp_path)
    assert [item.field for item in found] == ["seed", "seed", "model.idd"]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("quince.nowhere:Thing", "ModuleNotFoundError"),
        ("quince.rewards.answers.text:Thing", "has no 'Thing'"),
        ("quince.rewards.answers.text", "not of the form"),
        ("quince:__version__", "cannot be called"),
    ],
)
def test_your_own_code_is_resolved_when_validated(path, words, tmp_path):
    text = f"extends: rlvr/tiny_grpo.yaml\nrewards: [{{kind: custom, path: '{path}'}}]\n"
    found = problem(text, tmp_path)
    assert found.field == "rewards.0.path" and words in found.found


def test_your_own_code_that_is_there_is_accepted(tmp_path):
    path = tmp_path / "r.yaml"
    plugin = "{kind: custom, path: 'quince.rewards.answers.text:Format', options: {pattern: '.*'}}"
    path.write_text(f"extends: rlvr/tiny_grpo.yaml\nrewards: [{plugin}]\n")
    assert load_recipe(str(path)).recipe.rewards[0].kind == "custom"


def test_hints():
    assert did_you_mean("learning_rat", ["learning_rate", "lr"]) == "did you mean `learning_rate`?"
    assert did_you_mean("adamw", ["sgd", "adamw_torch"]) == "did you mean `adamw_torch`?"
    assert did_you_mean("zzz", ["learning_rate"]) == ""
    assert one_of(map(str, range(20))).endswith("15, ... (20 in all)")


@pytest.mark.parametrize(
    ("env", "speaks"),
    [
        ({}, True),
        ({"RANK": "0"}, True),
        ({"RANK": "3"}, False),
        ({"LOCAL_RANK": "1"}, False),
        ({"RANK": "8", "LOCAL_RANK": "0"}, False),
    ],
)
def test_only_rank_zero_speaks(env, speaks, monkeypatch):
    for name in ("RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert is_rank_zero() == speaks


SEVERAL = (
    "rewards=[{kind: sql_execution}, {kind: custom, path: 'quince.rewards.answers.text:Format', options: {pattern: x}}]"
)


def test_the_verifier_is_named_where_several_rewards_could_say_what_is_correct(tmp_path):
    found = problem("extends: rlvr/tiny_dph_js.yaml\n", tmp_path, "advantage={kind: w_reinforce}", SEVERAL)
    assert found.field == "verifier" and "one of 0 (sql_execution), 1 (custom)" in str(found)
    for enough in ("verifier=1", "verifier=custom", "verifier=[0, 1]", "advantage={kind: group}"):
        load_recipe("rlvr/tiny_dph_js", ["advantage={kind: w_reinforce}", SEVERAL, enough])
    shaped = "rewards=[{kind: sql_execution, weight: 0.5}, {kind: format, pattern: x, weight: 2.0}]"
    recipe = load_recipe("rlvr/tiny_dph_js", ["advantage={kind: pass_at_k}", shaped]).recipe
    assert verifiers(recipe) == [0]
