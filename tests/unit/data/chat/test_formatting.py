from __future__ import annotations

import json
from typing import Any

import pytest
from quince.data.chat.renderer import Renderer, render_prompt
from quince.data.rows import RowError

TEMPLATE = (
    "{% if tools %}[tools] {{ tools | length }} {{ tools[0].name }} {% endif %}"
    "{% for m in messages %}[{{ m.role }}] {{ m.content }} [end] {% endfor %}"
    "{% if add_generation_prompt %}[assistant]{{ suffix | default('') }}{% endif %}"
)
PROMPT = [{"role": "user", "content": "hi there"}]
TOOLS = json.dumps([{"name": "clock", "parameters": {}}])


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """Words split at spaces; like many real ones it would add a BOS on its own."""
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = "[bos] [unk] [user] [assistant] [end] [tools] hi there hello 1 clock think"
    vocabulary = {word: index for index, word in enumerate(words.split())}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="[unk]"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.post_processor = processors.TemplateProcessing(single="[bos] $A", special_tokens=[("[bos]", 0)])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="[unk]", bos_token="[bos]", chat_template=TEMPLATE
    )


def words(tokenizer: Any, ids: list[int]) -> str:
    return " ".join(tokenizer.convert_ids_to_tokens(ids))


def test_a_prompt_ends_where_the_assistant_speaks(tokenizer: Any) -> None:
    row = {"id": "a", "prompt": PROMPT}
    assert words(tokenizer, render_prompt(row, tokenizer)) == "[user] hi there [end] [assistant]"
    thinking = render_prompt(row, tokenizer, suffix=" think")
    assert words(tokenizer, thinking) == "[user] hi there [end] [assistant] think"


def test_tools_are_parsed_for_the_template(tokenizer: Any) -> None:
    ids = render_prompt({"id": "a", "prompt": PROMPT, "tools": TOOLS}, tokenizer)
    assert words(tokenizer, ids).startswith("[tools] 1 clock [user]")


def test_a_conversation_continues_its_prompt(tokenizer: Any) -> None:
    messages = [*PROMPT, {"role": "assistant", "content": "hello"}]
    whole = Renderer(tokenizer).render({"id": "a"}, messages).ids
    assert words(tokenizer, whole) == "[user] hi there [end] [assistant] hello [end]"
    prompt = render_prompt({"id": "a", "prompt": PROMPT}, tokenizer)
    assert whole[: len(prompt)] == prompt


def test_the_wrong_kind_of_row_is_named(tokenizer: Any) -> None:
    with pytest.raises(RowError, match="a · prompt · missing"):
        render_prompt({"id": "a", "messages": PROMPT}, tokenizer)
