"""The engine on a server: requests in vLLM's form, answers in order, and errors that say what to do."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from quince.eval.engines.base import EngineError, Sampling
from quince.eval.engines.server import ServerEngine
from quince.eval.engines.transformers import TransformersEngine

PROMPTS = [[5, 6, 7], [8, 9], [5, 6, 7, 8, 9]]


@pytest.fixture(scope="module")
def engine(toy_model):
    return TransformersEngine.load(toy_model, dtype="float32")


@pytest.fixture(scope="module")
def url(engine):
    """A server that answers as `vllm serve` does, from the engine in this process."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            known = asked["model"] == "toy"
            body = {"choices": answer(engine, asked)} if known else {"error": "no such model"}
            self.send_response(200 if known else 404)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def answer(engine, asked):
    prompts = asked["prompt"]
    if "prompt_logprobs" in asked:
        scores = engine.score([prompt[:1] for prompt in prompts], [prompt[1:] for prompt in prompts])
        found = [
            [None, *({str(token): {"logprob": value}} for token, value in zip(prompt[1:], row, strict=True))]
            for prompt, row in zip(prompts, scores, strict=True)
        ]
        return [{"index": index, "prompt_logprobs": row} for index, row in reversed(list(enumerate(found)))]
    sampling = Sampling(n=asked["n"], temperature=asked["temperature"], max_tokens=asked["max_tokens"])
    flat = [completion for group in engine.generate(prompts, sampling) for completion in group]
    return [
        {
            "index": index,
            "finish_reason": completion.finish_reason,
            "logprobs": {
                "tokens": [f"token_id:{token}" for token in completion.token_ids],
                "token_logprobs": list(completion.logprobs),
            },
        }
        for index, completion in reversed(list(enumerate(flat)))
    ]


@pytest.mark.parametrize("at_once", [2, 256])
def test_it_samples_and_scores_as_the_engine_behind_it(engine, url, at_once):
    server = ServerEngine("toy", engine.tokenizer, url, at_once=at_once)
    greedy = Sampling(temperature=0.0, max_tokens=5)
    assert [group[0].token_ids for group in server.generate(PROMPTS, greedy)] == [
        group[0].token_ids for group in engine.generate(PROMPTS, greedy)
    ]
    answers = [[11, 12], [13], [14, 15, 16]]
    for ours, theirs in zip(server.score(PROMPTS, answers), engine.score(PROMPTS, answers), strict=True):
        assert ours == pytest.approx(theirs, abs=1e-4)


def test_several_samples_of_a_prompt_stay_together(engine, url):
    groups = ServerEngine("toy", engine.tokenizer, url).generate(PROMPTS, Sampling(n=3, max_tokens=4))
    assert [len(group) for group in groups] == [3, 3, 3]
    assert all(len(completion.logprobs) == len(completion.token_ids) for group in groups for completion in group)


def test_what_fails_is_an_error_that_names_the_server(engine, url):
    with pytest.raises(EngineError, match="status 404"):
        ServerEngine("other", engine.tokenizer, url).score([[1, 2]], [[3]])
    with pytest.raises(EngineError, match="`vllm serve toy` starts it"):
        ServerEngine("toy", engine.tokenizer, "http://127.0.0.1:9", timeout_s=2).score([[1, 2]], [[3]])
