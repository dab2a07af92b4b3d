"""The command that starts several processes."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from quince.recipes.config import load_recipe
from quince.recipes.config.language.errors import RecipeError, RecipeErrors
from quince.recipes.config.language.library import accelerate_config
from quince.recipes.config.model import Launch
from quince.recipes.parts.rendezvous import stay_local, use_loopback_interface
from quince.recipes.run.console import load_for_launch
from quince.recipes.run.launching import launch_command, machines, stay_on_this_machine


@pytest.fixture(autouse=True)
def _not_launched(monkeypatch):
    monkeypatch.delenv("LOCAL_RANK", raising=False)


def test_one_process_trains_itself():
    assert launch_command(Launch(), ["r"]) == []


def test_a_launched_process_does_not_launch_again(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert launch_command(Launch(processes=2), ["r"]) == []


def test_several_processes_get_the_same_arguments():
    command = launch_command(Launch(processes=2), ["rlvr/tiny_grpo", "seed=1", "--resume"])
    assert command[:4] == ["accelerate", "launch", "--num_processes", "2"]
    assert command[-6:] == ["-m", "quince.recipes.cli", "train", "rlvr/tiny_grpo", "seed=1", "--resume"]
    assert "--multi_gpu" in command


def test_a_shipped_name_becomes_a_file():
    command = launch_command(Launch(processes=8, accelerate_config="fsdp2"), ["r"])
    assert command[command.index("--config_file") + 1].endswith("_accelerate/fsdp2.yaml")
    assert "--multi_gpu" not in command


def parsed(*words: str):
    from accelerate.commands.launch import launch_command_parser

    return launch_command_parser().parse_args([*words, "script.py"])


@pytest.mark.parametrize("name", ["cpu", "ddp", "fsdp2", "zero2", "zero3"])
def test_the_shipped_files_are_for_one_machine(name):
    assert machines(parsed("--config_file", str(accelerate_config(name)))) == 1


def test_the_command_line_says_how_many_machines_before_the_file_does(tmp_path):
    file = tmp_path / "two.yaml"
    file.write_text(accelerate_config("ddp").read_text().replace("num_machines: 1", "num_machines: 2"))
    assert machines(parsed("--config_file", str(file))) == 2
    assert machines(parsed("--config_file", str(file), "--num_machines", "1")) == 1


def test_processes_of_one_machine_meet_at_a_free_port_of_it():
    from torch.distributed import TCPStore
    from torch.distributed.elastic.rendezvous import RendezvousParameters
    from torch.distributed.elastic.rendezvous.registry import get_rendezvous_handler

    arguments = parsed("--config_file", str(accelerate_config("ddp")))
    stay_on_this_machine(arguments)

    def meeting():
        parameters = RendezvousParameters(arguments.rdzv_backend, arguments.rdzv_endpoint, "none", 1, 1)
        return get_rendezvous_handler(parameters).next_rendezvous()

    first, second = meeting(), meeting()
    places = [info.bootstrap_store_info for info in (first, second)]
    assert {place.master_addr for place in places} == {"127.0.0.1"}
    assert places[0].master_port != places[1].master_port
    first.store.set("step", "7")
    met = TCPStore("127.0.0.1", places[0].master_port, is_master=False)
    assert met.get("none/step") == b"7"


WAYS = {
    "transformers": ({}, {}, ["GLOO", "NCCL"]),
    "a server of vLLM": ({"use_vllm": True, "vllm_mode": "server"}, {}, ["GLOO"]),
    "two processes": ({}, {"LOCAL_RANK": "1", "GROUP_WORLD_SIZE": "1"}, ["GLOO", "NCCL"]),
    "two machines": ({}, {"LOCAL_RANK": "1", "GROUP_WORLD_SIZE": "2"}, []),
}


@pytest.mark.parametrize(("trainer", "environment", "bound"), WAYS.values(), ids=WAYS)
def test_collectives_stay_on_the_machine_where_all_of_the_training_is(trainer, environment, bound, monkeypatch):
    monkeypatch.setattr(os, "environ", dict(environment))
    stay_local(SimpleNamespace(trainer=trainer))
    found = {name: value for name, value in os.environ.items() if name.endswith("_IFNAME")}
    assert list(found) == [f"{library}_SOCKET_IFNAME" for library in bound]
    assert set(found.values()) <= {"lo", "lo0"}


def test_an_interface_of_the_user_stays(monkeypatch):
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "eth7")
    use_loopback_interface("GLOO")
    assert os.environ["GLOO_SOCKET_IFNAME"] == "eth7"


ALONE = """
import os, sys
import psutil, torch
from types import SimpleNamespace
from quince.recipes.parts.rendezvous import stay_local

stay_local(SimpleNamespace(trainer={"use_vllm": True, "vllm_mode": "colocate"}))
torch.distributed.init_process_group("gloo", "env://", rank=0, world_size=1)
places = psutil.Process().net_connections()
print({place.laddr.ip for place in places if place.status == psutil.CONN_LISTEN})
"""


def test_vllm_inside_a_training_process_meets_itself_on_the_loopback_interface():
    """As TRL and vLLM make their group of one; without the meeting the store listens on every address."""
    done = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "{'127.0.0.1'}", done.stderr


# --- what a launch tells ----------------------------------------------------------------------------------------------

ENDS = """
import os, signal, sys, time

if os.environ["RANK"] == "1":
    os.kill(os.getpid(), signal.SIGKILL) if sys.argv[1] == "killed" else sys.exit(int(sys.argv[1]))
time.sleep(60)
"""


@pytest.mark.parametrize(("end", "code"), [("2", 2), ("killed", 137), ("75", 75)])
def test_a_launch_ends_with_the_code_of_the_process_that_failed_first(end, code, tmp_path):
    (tmp_path / "ends.py").write_text(ENDS)
    command = [sys.executable, "-m", "quince.recipes.run.launching", "--config_file", accelerate_config("cpu")]
    done = subprocess.run([*map(str, command), tmp_path / "ends.py", end], capture_output=True, text=True, timeout=120)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert (f"rank 1 failed first · exit code {code}" in done.stderr) == (code != 75)


@pytest.fixture
def launched(monkeypatch):
    """`launched(processes)`: as if this process were one of so many."""

    def launch(processes: int) -> None:
        for name, value in {"LOCAL_RANK": 1, "RANK": 1, "WORLD_SIZE": processes}.items():
            monkeypatch.setenv(name, str(value))

    return launch


REAL = "rlvr/llama31_8b_sql_dph_js"


def test_a_recipe_for_eight_processes_is_not_trained_by_sixteen(launched):
    launched(16)
    with pytest.raises(RecipeError, match=r"8 in the recipe, 16 in this launch · a step would have 2048 rows") as error:
        load_for_launch(REAL, [])
    fitted = str(error.value).partition("or add ")[2].partition(" (")[0].split()
    assert len(fitted) == 3  # processes, accumulation, steps of a rollout batch
    before, recipe = load_recipe(REAL).recipe, load_for_launch(REAL, fitted).recipe
    answers = [r.trainer["steps_per_generation"] * r.launch.processes for r in (before, recipe)]
    assert answers[0] == answers[1]
    launched(8)
    assert load_for_launch(REAL, []).recipe == before


def test_shares_of_stored_answers_are_counted_for_the_processes_there_are(launched):
    launched(16)
    fields = ["launch.processes=16", "rehearsal.batch_size=128"]
    with pytest.raises(RecipeErrors, match=r"128 rows for 16 processes x 32 accumulation steps · 512"):
        load_for_launch(REAL, fields)


def test_a_recipe_without_a_number_takes_that_of_the_launch(launched, tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text("extends: rlvr/tiny_grpo\ntrainer: {num_generations: 8, per_device_train_batch_size: 8}\n")
    assert load_for_launch(str(file), []).recipe.launch.processes == 1
    launched(4)
    assert load_for_launch(str(file), ["trainer.per_device_train_batch_size=2"]), "too few for one process"
    assert load_for_launch(str(file), []).recipe.launch.processes == 4
    with pytest.raises(RecipeErrors, match=r"3 x 1 .* x 4 \(processes\) = 12 answers hold no whole number of groups"):
        load_for_launch(str(file), ["trainer.per_device_train_batch_size=3"])


def test_a_pipeline_has_stages_with_launches_of_their_own(launched):
    launched(4)
    assert load_for_launch("function_calling/tiny_bg_rl", []).recipe.kind == "pipeline"
