"""Processes of one machine meet at a free port that only this machine can reach.

torchrun's own store listens on every address of the machine, and its port is either fixed, so that a second training
fails, or chosen a moment before it is taken. Here the port is taken first, on the loopback interface.
"""

from __future__ import annotations

import os
import socket
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from torch.distributed import TCPStore
from torch.distributed.elastic.rendezvous.static_tcp_rendezvous import StaticTCPRendezvous

from ..config.trainer_arguments import trainer_value

if TYPE_CHECKING:
    from torch.distributed.elastic.rendezvous import RendezvousParameters

LOOPBACK = "127.0.0.1"
BACKEND = "loopback"  # what `--rdzv_backend` calls it
TIMEOUT_S = 600
_alone: list[LoopbackRendezvous] = []
"""Holds the store of a process that trains alone, which ends with the last reference to it."""


class LoopbackRendezvous(StaticTCPRendezvous):
    """The meeting of one machine: the store listens at a free port of 127.0.0.1, and the processes use it too."""

    def __init__(self, run_id: str) -> None:
        listener = socket.create_server((LOOPBACK, 0))
        port = listener.getsockname()[1]
        super().__init__(LOOPBACK, port, rank=0, world_size=1, run_id=run_id, timeout=TIMEOUT_S)
        limit, descriptor = timedelta(seconds=TIMEOUT_S), listener.detach()  # the store closes it
        self._store = TCPStore(LOOPBACK, port, 1, True, limit, multi_tenant=True, master_listen_fd=descriptor)

    def get_backend(self) -> str:
        """The name of the rendezvous."""
        return BACKEND


def create(parameters: RendezvousParameters) -> LoopbackRendezvous:
    """What torchrun calls."""
    return LoopbackRendezvous(parameters.run_id)


def stay_local(recipe: Any) -> None:
    """Before a training starts: what it starts listens on the loopback interface, if all of it is on this machine."""
    if not one_machine():
        return
    generates = trainer_value(recipe.trainer, "use_vllm") and trainer_value(recipe.trainer, "vllm_mode")
    # Weights for a server, which may be on another machine, are sent by NCCL.
    use_loopback_interface("GLOO" if generates == "server" else "GLOO NCCL")
    if generates == "colocate" and "LOCAL_RANK" not in os.environ:
        meet_alone()


def one_machine() -> bool:
    """Whether this process trains alone, or with processes of this machine only."""
    return "LOCAL_RANK" not in os.environ or os.environ.get("GROUP_WORLD_SIZE") == "1"


def use_loopback_interface(libraries: str = "GLOO NCCL") -> None:
    """Collectives listen on the loopback interface instead of the network's, unless the user named an interface."""
    names = [name for _, name in socket.if_nameindex() if name in ("lo", "lo0")]
    for library in libraries.split() if names else ():
        os.environ.setdefault(f"{library}_SOCKET_IFNAME", names[0])


def meet_alone() -> None:
    """Let vLLM inside a training process, which asks for a group of one, find the store of such a meeting here."""
    if not _alone:
        _alone.append(LoopbackRendezvous("alone"))
    port = _alone[0].master_port
    os.environ |= {"MASTER_ADDR": LOOPBACK, "MASTER_PORT": str(port), "TORCHELASTIC_USE_AGENT_STORE": "True"}
