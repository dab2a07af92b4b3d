"""The command that starts several processes."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from quince.recipes.config.language.library import accelerate_config
from quince.recipes.config.model import Launch
from quince.recipes.parts.rendezvous import stay_local, use_loopback_interface
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
