"""Chat templates of a stranger: one clear line, and no endless loop."""

from __future__ import annotations

import time
from importlib.resources import files

import pytest
from quince.data.chat import renderer
from quince.data.rows import RowError

ROW = {"id": "r1", "prompt": [{"role": "user", "content": "hi"}]}
BROKEN = {
    "syntax": "{% for %}",
    "attribute": "{{ messages.__class__.__mro__ }}{{ ''.__class__.__base__.__subclasses__() }}",
    "undefined": "{{ nothing.at.all }}",
    "type": "{{ messages[0].content + 1 }}",
    "raise": "{{ raise_exception('only odd roles') }}",
    "range": "{% for i in range(10**9) %}x{% endfor %}",
    "recursion": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "mutation": "{{ messages.clear() }}",
}


@pytest.fixture(scope="module")
def tokenizer():
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(files("quince.data") / "tiny")


@pytest.mark.parametrize("template", BROKEN.values(), ids=BROKEN)
def test_a_broken_or_unsafe_template_is_one_clear_line(template, tokenizer):
    with pytest.raises(RowError, match=r"^r1 · chat template · .+ · mend it, or name another chat_template$") as caught:
        renderer.Renderer(tokenizer, template).render(ROW, ROW["prompt"])
    assert "\n" not in str(caught.value)


def test_nested_loops_end(tokenizer, monkeypatch):
    monkeypatch.setattr(renderer, "_TEMPLATE_S", 0.2)
    loops = "{% for i in range(90000) %}{% for j in range(90000) %}{% endfor %}{% endfor %}"
    started = time.monotonic()
    with pytest.raises(RowError, match=r"r1 · chat template · no text within 0\.2 s"):
        renderer.Renderer(tokenizer, loops).render(ROW, ROW["prompt"])
    assert time.monotonic() - started < 5
