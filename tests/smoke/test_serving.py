"""The shipped model, tuned on a few conversations and served by vLLM: an OpenAI client gets the calls it learned."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import closing, suppress
from importlib.util import find_spec
from pathlib import Path

import pytest
from quince.data.chat.renderer import render_prompt
from quince.recipes.config import load_recipe

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed"),
    pytest.mark.skipif(find_spec("openai") is None, reason="the OpenAI client is not installed"),
    pytest.mark.skipif(not (ROOT / "data/tiny/config.json").exists(), reason="data/tiny is not built"),
]


def tool(name: str, description: str, required: list[str], **properties: dict) -> dict:
    parameters = {"type": "object", "properties": properties, "required": required}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


TOOLS = [
    tool(
        "create_reminder",
        "Creates a reminder.",
        ["text", "date"],
        text={"type": "string", "description": "What to remember"},
        date={"type": "string", "format": "date"},
        urgent={"type": "boolean", "default": False},
    ),
    tool(
        "get_weather",
        "Weather of a city.",
        ["city"],
        city={"type": "string"},
        unit={"type": "string", "enum": ["C", "F"]},
    ),
]


def call(name: str, **arguments: object) -> dict:
    text = json.dumps(arguments, ensure_ascii=False)
    return {"type": "function", "function": {"name": name, "arguments": text}}


def user(text: str) -> dict:
    return {"role": "user", "content": text}


WEATHER = {"role": "assistant", "content": "", "tool_calls": [call("get_weather", city="Русе", unit="C")]}
TURNS = {
    "one call": [
        user("Напомни ми на 3 май 2026 да купя хляб „Добруджа“ и \\мляко."),
        {"tool_calls": [call("create_reminder", text="да купя хляб „Добруджа“ и \\мляко", date="2026-05-03")]},
    ],
    "parallel calls": [
        {"role": "system", "content": "Отговаряй кратко."},
        user("Времето в Русе? И на 3 май 2026 да купя хляб."),
        {
            "tool_calls": [
                call("get_weather", city="Русе", unit="C"),
                call("create_reminder", text="да купя хляб", date="2026-05-03"),
            ]
        },
    ],
    "refusal": [user("Пусни музика."), {"content": "С тези инструменти не мога да пусна музика."}],
    "answer": [
        user("Топло ли е в Русе?"),
        WEATHER,
        {"role": "tool", "content": '{"градуси": 31, "sky": null}'},
        {"content": "Да, 31 градуса."},
    ],
}
CONVERSATIONS = {
    name: [*before, {"role": "assistant", "content": "", **last}] for name, (*before, last) in TURNS.items()
}
LEARNED_BY_THE_ADAPTER = "parallel calls"
RECIPE = """
kind: sft
model: {id: tiny, dtype: float32, chat_template: hermes_signatures}
data: [{kind: jsonl, path: ROWS, split: train}]
trainer:
  per_device_train_batch_size: 4
  max_length: 1024
  lr_scheduler_type: cosine
  save_strategy: "no"
  gradient_checkpointing: false
  disable_tqdm: true
"""
FIRST = ["optimizer={kind: muon}", "trainer.max_steps=45", "trainer.learning_rate=4e-3"]
SECOND = ["model.adapter={kind: lora, rank: 32, merge: true}", "trainer.max_steps=60", "trainer.learning_rate=1e-2"]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A model that knows the conversations by heart: all weights learned all but one, a merged adapter the last."""
    from quince.recipes.sft.train import run

    folder = tmp_path_factory.mktemp("serving")

    def tune(name: str, rows: list[dict], *overrides: str) -> Path:
        (folder / f"{name}.jsonl").write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows))
        (folder / f"{name}.yaml").write_text(RECIPE.replace("ROWS", str(folder / f"{name}.jsonl")))
        recipe = load_recipe(str(folder / f"{name}.yaml"), [f"output_dir={folder / name}", *overrides])
        return run(recipe) / "model"

    rows = [
        {"id": name, "task": "function_call", "messages": messages, "tools": json.dumps(TOOLS, ensure_ascii=False)}
        for name, messages in CONVERSATIONS.items()
    ]
    first = tune("first", [row for row in rows if row["id"] != LEARNED_BY_THE_ADAPTER], *FIRST)
    return tune("second", rows, f"model.id={first}", *SECOND)


@pytest.fixture(scope="module")
def client(model):
    """An OpenAI client of the served model; the server ends with all its children, whatever happens."""
    from openai import OpenAI

    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "PYTHON": sys.executable,
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "TORCH_COMPILE_DISABLE": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    command = [ROOT / "scripts/serve_tools.sh", model, str(port), "--dtype", "float32", "--max-model-len", "1024"]
    log = model.parent / "server.log"
    with log.open("w") as output:
        options = {"cwd": model.parent, "env": environment, "start_new_session": True}
        server = subprocess.Popen([*command, "--enforce-eager"], stdout=output, stderr=subprocess.STDOUT, **options)
    try:
        with OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0, timeout=60) as found:
            wait_until_up(found, server, log)
            yield found
    finally:
        stop(server)


def wait_until_up(client, server: subprocess.Popen, log: Path) -> None:
    from openai import APIConnectionError

    end = time.monotonic() + 240
    while time.monotonic() < end and server.poll() is None:
        try:
            return client.models.list()
        except APIConnectionError:
            time.sleep(0.3)
    pytest.fail(f"the server did not start:\n{log.read_text()[-3000:]}")


def stop(server: subprocess.Popen) -> None:
    """Ask the server to end, then end its whole process group."""
    server.terminate()
    with suppress(subprocess.TimeoutExpired):
        server.wait(20)
    with suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()


def wire(messages: list[dict]) -> list[dict]:
    """Messages as OpenAI's interface wants them: calls and their results have ids, which rows do without."""
    ids = [
        {"tool_calls": [each | {"id": "call_0"} for each in message["tool_calls"]]}
        if "tool_calls" in message
        else {"tool_call_id": "call_0"}
        if message["role"] == "tool"
        else {}
        for message in messages
    ]
    return [message | more for message, more in zip(messages, ids, strict=True)]


def ask(client, name: str, **options):
    return client.chat.completions.create(
        model=client.models.list().data[0].id,
        messages=wire(CONVERSATIONS[name][:-1]),
        tools=TOOLS,
        temperature=0,
        max_tokens=256,
        **options,
    )


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_answers_come_back_as_they_were_learned(client, name):
    choice = ask(client, name).choices[0]
    learned = CONVERSATIONS[name][-1]
    found = [(each.type, each.function.name, each.function.arguments) for each in choice.message.tool_calls or []]
    wanted = [(each["type"], *each["function"].values()) for each in learned.get("tool_calls", [])]
    assert found == wanted  # the text of the arguments too: nothing is escaped
    assert (choice.message.content or "") == learned["content"]
    assert choice.finish_reason == ("tool_calls" if wanted else "stop")


def test_streamed_calls_are_the_same(client):
    names, arguments = {}, defaultdict(str)
    for chunk in ask(client, "parallel calls", stream=True):
        for part in chunk.choices[0].delta.tool_calls or []:
            names.setdefault(part.index, part.function.name)
            arguments[part.index] += part.function.arguments or ""
    wanted = [each["function"] for each in CONVERSATIONS["parallel calls"][-1]["tool_calls"]]
    assert [{"name": names[index], "arguments": arguments[index]} for index in sorted(names)] == wanted


@pytest.mark.parametrize("tools", [TOOLS, []], ids=["with tools", "without tools"])
@pytest.mark.parametrize("name", CONVERSATIONS)
def test_the_server_renders_prompts_as_training_does(client, model, name, tools):
    from transformers import AutoTokenizer

    prompt = CONVERSATIONS[name][:-1]
    row = {"id": name, "prompt": prompt, "tools": json.dumps(tools, ensure_ascii=False)}
    body = {"messages": wire(prompt), **({"tools": tools} if tools else {})}
    served = client.post("../tokenize", body=body, cast_to=dict)
    assert served["tokens"] == render_prompt(row, AutoTokenizer.from_pretrained(model))
