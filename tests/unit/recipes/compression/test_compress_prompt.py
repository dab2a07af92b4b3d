"""`compress_prompt`: limits of every reader, what must be kept, and any text at all."""

import json
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import quince
from hypothesis import given, settings
from hypothesis import strategies as st
from quince import compress_prompt
from quince.data.compression.budget import BudgetError, CompressionError
from quince.data.compression.capsules import normalise, sentences
from quince.data.compression.literals import Kept, missing, names, numbers
from quince.eval.engines.base import Completion
from quince.recipes.cli import main
from quince.recipes.compression.compress import compress_prompts
from quince.recipes.compression.counting import count_words

STORY = (
    "Ann Berg was born in 1902 in Oslo. Her father built boats. Carl Dahl paid 340 crowns for the red boat, and sailed "
    "it to Bergen. It rained for most of the week. It rained for most of the week. Eva Lund sold the boat in 1931. "
    "Nobody knows who owns it now. The harbour was closed in the same year."
)
COUNTERS = {"words": count_words, "letters": len, "bytes": lambda text: len(text.encode())}


@pytest.fixture(scope="module")
def tokenizer():
    from quince.recipes.parts.models import model_path
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(model_path("tiny"))


@dataclass
class Script:
    """An engine that answers with one text and keeps what it was asked."""

    tokenizer: object
    answer: str
    finish: str = "stop"
    asked: list = field(default_factory=list)

    def generate(self, prompts, sampling):
        self.asked += [self.tokenizer.decode(prompt) for prompt in prompts]
        return [[Completion(self.answer, (1,), None, self.finish)] for _ in prompts]


@pytest.mark.parametrize("target", [60, 30, 20, 12])
def test_whole_sentences_within_the_limit_of_every_reader(target):
    result = compress_prompt(
        STORY,
        "Read.",
        "Who sold it?",
        target_token=target,
        readers={"words": count_words, "half": lambda t: len(t) // 3},
    )
    assert all(count.after <= target == count.limit for count in result.tokens.values())
    assert result.compressed_tokens == count_words(result.compressed_prompt) <= target
    assert result.compressed_prompt.startswith("Read.\n\n") and result.compressed_prompt.endswith("\n\nWho sold it?")
    assert result.warnings or set(sentences(result.compressed_prompt_list[0])) <= set(sentences(STORY))


def test_the_result_has_numbers_under_llmlinguas_names_and_as_attributes():
    result = compress_prompt(STORY, rate=0.5, readers=count_words, min_tokens=0)
    assert result["compressed_prompt"] == result.compressed_prompt
    assert result["origin_tokens"] == count_words(STORY) and result["ratio"] == 1 / result["rate"] >= 2
    assert {"compressed_prompt_list", "compressed_tokens", "seconds", "grounding", "warnings"} <= set(result)
    assert result.get("saving") is None and json.dumps(dict(result), default=vars)
    assert result.seconds > 0 and result.grounding == 1.0 and not result.absent


def test_what_was_dropped_is_told():
    result = compress_prompt(["Ann has 3 cats.", "Bob has 5 dogs."], target_token=5, readers=count_words)
    assert len(result.dropped.contexts) == 1 and len(result.dropped.sentences) == 1
    assert len(result.dropped.literals) == 1  # the number; names at the start of a sentence are not sure


@pytest.mark.parametrize("target", [100, 40, 25, 9])
def test_what_must_be_kept_is_kept_in_sentences_then_clauses_then_alone(target):
    must_keep = ["Eva Lund", re.compile(r"\b340 crowns\b"), "Oslo", "nowhere"]
    result = compress_prompt(STORY, target_token=target, must_keep=must_keep, readers=count_words, min_tokens=0)
    assert all(text in result.compressed_prompt for text in ("Eva Lund", "340 crowns", "Oslo"))
    assert result.compressed_tokens <= target
    assert any("'nowhere' is not in the text" in warning for warning in result.warnings)
    assert any("no room for a whole sentence" in warning for warning in result.warnings) == (target < 35)


def test_kinds_of_literals_and_force_arguments_of_llmlingua():
    result = compress_prompt(STORY, target_token=40, must_keep=[names], force_reserve_digit=True, readers=count_words)
    assert missing(result.compressed_prompt, [Kept(text) for text in (*names(STORY), *numbers(STORY))]) == []
    assert (
        "harbour"
        in compress_prompt(STORY, rate=0.3, force_tokens=["harbour", "\n", "."], min_tokens=0).compressed_prompt
    )


def test_forced_contexts_are_kept_whole():
    texts = ["A first text. It has two sentences.", STORY, "The last one."]
    result = compress_prompt(texts, target_token=30, force_context_ids=[0], readers=count_words)
    assert result.compressed_prompt.startswith(texts[0]) and result.compressed_tokens <= 30
    with pytest.raises(CompressionError, match="force_context_ids · 3 · there are 3 contexts"):
        compress_prompt(texts, force_context_ids=[3])


def test_a_limit_that_cannot_hold_what_must_be_kept_is_a_clear_error():
    with pytest.raises(BudgetError) as error:
        compress_prompt(STORY, "Read it.", "Who?", target_token=6, must_keep=["Eva Lund"], readers=count_words)
    assert str(error.value) == (
        "compress_prompt · the budget is 6 tokens of count_words · what must be kept takes 7: instruction 3; "
        "question 2; 1 literals of must_keep ('Eva Lund') · raise the budget to at least 7, or keep less"
    )
    with pytest.raises(BudgetError, match="prompt 1 · "):
        compress_prompts(["short", STORY], target_token=1, must_keep=["Eva Lund"])


def test_short_prompts_are_left_as_they_are():
    odd = "A short\x00 one. With two sentences."
    result = compress_prompt(odd, rate=0.2, min_tokens=50)
    assert (
        result.compressed_prompt == odd
        and result.skipped
        and result.rate == 1.0
        and "min_tokens 50" in result.warnings[-1]
    )
    assert not compress_prompt(odd, rate=0.5, min_tokens=0).skipped
    assert compress_prompt(odd, target_token=5, min_tokens=50).compressed_tokens <= 5  # a limit is a limit


def test_instruction_and_question_stay_whole_at_any_rate():
    result = compress_prompt("x y z", "An instruction.", "A question?", rate=0.0, min_tokens=0)
    assert result.compressed_prompt == "An instruction.\n\nA question?"
    assert compress_prompt(STORY, question="Who?", rate=0.5, concate_question=False).compressed_prompt.find("Who?") < 0


def test_arguments_of_llmlingua_without_meaning_are_named_and_others_refused():
    result = compress_prompt(STORY, iterative_size=200, rank_method="longllmlingua")
    assert {"iterative_size", "rank_method"} <= {warning.split()[0] for warning in result.warnings}
    with pytest.raises(TypeError, match="no argument 'target_tokens' · did you mean `target_token`"):
        compress_prompt(STORY, target_tokens=5)
    with pytest.raises(CompressionError, match="rate · 2"):
        compress_prompt(STORY, rate=2)
    with pytest.raises(CompressionError, match="must_keep · 5"):
        compress_prompt(STORY, must_keep=[5])
    with pytest.raises(CompressionError, match="no tokenizer in 'nowhere'"):
        compress_prompt(STORY, readers=["nowhere"])


SCRIPTS = "ab Z.,;!?\n\t 12-5。！你好،؟مرحЯ.éß\u0301\u200b\u200d\ufeff\ud800\x00😀ﬁ２ไทย{}<|im_end|>"
HARD = st.text(st.one_of(st.sampled_from(SCRIPTS), st.characters()), max_size=200)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(HARD, max_size=3),
    HARD,
    st.one_of(st.integers(0, 300), st.just(-1)),
    st.floats(0, 1, allow_subnormal=False),
    st.lists(st.sampled_from(["1", "a", "你好", "12", "b Z", re.compile(r"\w+ \w"), numbers]), max_size=2),
)
def test_no_text_makes_it_raise_or_go_over(contexts, question, target, rate, must_keep):
    frame = {name: count(normalise_ends(question)) for name, count in COUNTERS.items()}
    try:
        result = compress_prompt(
            contexts, "", question, rate, target_token=target, must_keep=must_keep, readers=COUNTERS, min_tokens=20
        )
    except BudgetError:
        assert must_keep or target < max(frame.values())
        return
    assert all(count.after <= count.limit for count in result.tokens.values()) or result.skipped
    assert target < 0 or not result.skipped or all(count.after <= target for count in result.tokens.values())
    assert result.tokens["letters"].after == len(result.compressed_prompt.encode("utf-8", "ignore").decode())


def normalise_ends(question):
    from quince.data.compression.capsules import clean

    return clean(question)


@pytest.mark.parametrize(
    "text",
    [
        "x" * 300_000,
        "word " * 100_000,
        "One. " * 50_000,
        "\n" * 300_000,
        "\x00\ud800" * 50_000,
        "文" * 100_000,
        "." * 100_000,
    ],
)
def test_huge_texts(text):
    result = compress_prompt(text, target_token=50, readers=count_words)
    assert result.compressed_tokens <= 50


def test_a_model_never_sees_the_question_and_its_text_is_used(tokenizer):
    engine = Script(tokenizer, "Ann Berg born 1902. Carl Dahl paid 340 crowns. Eva Lund sold the boat in 1931.")
    result = compress_prompt(STORY, "Read.", "Where is the treasure?", target_token=400, model=engine, min_tokens=0)
    assert result.skipped  # it fits already, so nothing is asked
    result = compress_prompt(STORY, "Read.", "Where is the treasure?", target_token=150, model=engine)
    assert "Carl Dahl paid 340 crowns." in result.compressed_prompt and result.grounding == 1.0
    assert len(engine.asked) == 1 and "treasure" not in engine.asked[0] and "Carl Dahl" in engine.asked[0]
    assert next(iter(result.tokens.values())).after <= 150


@pytest.mark.parametrize(
    ("answer", "finish", "kept", "gone", "note"),
    [
        (
            "Carl Dahl paid 999 crowns. Eva Lund sold it.",
            "stop",
            "Eva Lund sold it.",
            "999",
            "name what the text does not",
        ),
        ("он ушёл. Eva Lund sold it.", "stop", "Eva Lund sold it.", "он", "not readable"),
        ("The answer is always 7.", "stop", "", "answer", "nothing of use"),
        ("Eva Lund sold it. Carl Dahl paid", "length", "Eva Lund sold it.", "paid", ""),
        ("Eva Lund sold it; Carl Dahl paid 340; Ann", "length", "Eva Lund sold it; Carl Dahl paid 340", "; Ann", ""),
        ("", "stop", "", "Read", "nothing of use"),
    ],
)
def test_what_of_a_draft_is_used(tokenizer, answer, finish, kept, gone, note):
    engine = Script(tokenizer, answer, finish)
    result = compress_prompt(STORY, target_token=120, model=engine, readers=[tokenizer])
    assert kept in result.compressed_prompt and gone not in result.compressed_prompt
    assert any(note in warning for warning in result.warnings) or not note


def test_must_keep_is_verified_after_the_model_and_comes_from_the_source(tokenizer):
    engine = Script(tokenizer, "Eva Lund sold the boat.")
    result = compress_prompt(STORY, target_token=140, model=engine, readers=[tokenizer], must_keep=["340", "Eva Lund"])
    assert "Eva Lund sold the boat." in result.compressed_prompt
    assert "Carl Dahl paid 340 crowns for the red boat" in result.compressed_prompt


def test_a_batch_is_written_at_once_and_long_contexts_in_parts(tokenizer):
    engine = Script(tokenizer, "Eva Lund sold the boat.")
    results = compress_prompts([STORY * 30, "short", STORY * 20], target_token=400, model=engine, readers=[tokenizer])
    assert [result.skipped for result in results] == [False, True, False]
    assert len(engine.asked) > 3
    assert all(result.compressed_prompt == "Eva Lund sold the boat." for result in results if not result.skipped)
    engine.asked.clear()
    compress_prompts([STORY * 30], target_token=100, model=engine, readers=[tokenizer])
    assert len(engine.asked) == 1  # a small budget is not spread over many parts: telling sentences are read


def test_the_shipped_model_end_to_end(tokenizer):
    result = compress_prompt(
        STORY, "Read.", "Who?", target_token=100, model="tiny", must_keep=["1931"], readers=["tiny"]
    )
    assert len(tokenizer(result.compressed_prompt, add_special_tokens=False)["input_ids"]) <= 100
    assert result.tokens["tiny"].after == result.compressed_tokens and "1931" in result.compressed_prompt


def test_tokenizers_of_every_make_count_the_same(tokenizer):
    folder = Path(quince.__file__).parent / "data" / "tiny"
    made = compress_prompt(
        STORY, target_token=90, readers=[tokenizer, tokenizer.backend_tokenizer, str(folder), "tiny"]
    )
    assert len(made.tokens) == 4 and len({count.after for count in made.tokens.values()}) == 1


def test_a_model_that_is_not_there_is_named():
    with pytest.raises(CompressionError, match="model · 'no/such' cannot be loaded"):
        compress_prompt(STORY, model="no/such")
    with pytest.raises(CompressionError, match="template"):
        compress_prompt(STORY, model=Script(None, ""), template="no place")


def test_importing_quince_and_the_call_loads_nothing_heavy():
    code = """
import sys, quince
heavy = {"torch", "transformers", "tokenizers", "pydantic", "numpy", "typer", "jinja2"}
assert not heavy & set(sys.modules) and "quince.recipes" not in sys.modules
quince.compress_prompt("One. Two. Three.", target_token=3)
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_command_reads_and_writes_pipes(tmp_path, capsys, monkeypatch):
    import io

    file = tmp_path / "prompt.txt"
    file.write_text(STORY)
    main_ok(
        ["compress", str(file), "--target-tokens", "30", "--must-keep", "Eva Lund", "--keep-pattern", r"\d{3} crowns"]
    )
    out, err = capsys.readouterr()
    assert "Eva Lund" in out and "340 crowns" in out and count_words(out) <= 30 and "words: 70 -> " in err
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(STORY.encode() + b"\xff")))
    main_ok(["compress", "-", "-t", "20", "--keep", "numbers", "--json"])
    assert json.loads(capsys.readouterr().out)["tokens"]["words"]["after"] <= 20
    for arguments in (["-t", "2", "--must-keep", "Eva Lund sold"], ["--keep", "nouns"], ["--keep-pattern", "("]):
        with pytest.raises(SystemExit) as exit_code:
            main(["compress", str(file), *arguments])
        assert exit_code.value.code == 2
        assert " · " in capsys.readouterr().err


def main_ok(arguments):
    try:
        main(arguments)
    except SystemExit as done:
        assert not done.code


def test_no_sentence_of_a_prompt_is_read_as_a_control_token(tokenizer):
    engine = Script(tokenizer, "")
    compress_prompt(STORY + " <|im_end|> {budget} {passage}", target_token=100, model=engine)
    assert normalise("{passage}") in engine.asked[0]
