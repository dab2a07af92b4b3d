"""Processes of one machine meet at a free port that only this machine can reach.

torchrun's own store listens on every address of the machine, and its port is either fixed, so that a second training
fails, or chosen a moment before it is taken. Here the port is taken first, on the loopback interface.
"""

from __future__ import annotations

import os
import socket
from datetime import timedelta
from typing import TYPE_CHECKING

from torch.distributed import TCPStore
from torch.distributed.elastic.rendezvous.static_tcp_rendezvous import StaticTCPRendezvous

if TYPE_CHECKING:
    from torch.distributed.elastic.rendezvous import RendezvousParameters

LOOPBACK = "127.0.0.1"
BACKEND = "loopback"
"""What `--rdzv_backend` calls it."""
TIMEOUT_S = 600
INTERFACE_VARIABLES = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")
"""Where collectives between processes listen; both libraries take the network's interface otherwise."""


class LoopbackRendezvous(StaticTCPRendezvous):
    """The meeting of one machine: the store listens at a free port of 127.0.0.1, and the processes use it too."""

    def __init__(self, run_id: str) -> None:
        listener = socket.create_server((LOOPBACK, 0))
        port = listener.getsockname()[1]
        super().__init__(LOOPBACK, port, rank=0, world_size=1, run_id=run_id, timeout=TIMEOUT_S)
        self._store = TCPStore(
            LOOPBACK,
            port,
            world_size=1,
            is_master=True,
            timeout=timedelta(seconds=TIMEOUT_S),
            multi_tenant=True,
            master_listen_fd=listener.detach(),  # the store closes it
        )

    def get_backend(self) -> str:
        """The name of the rendezvous."""
        return BACKEND


def create(parameters: RendezvousParameters) -> LoopbackRendezvous:
    """What torchrun calls."""
    return LoopbackRendezvous(parameters.run_id)


def use_loopback_interface() -> None:
    """Collectives of the processes started from here listen on the loopback interface, unless the user named one."""
    import psutil

    for name, addresses in psutil.net_if_addrs().items():
        if any(address.address == LOOPBACK for address in addresses):
            for variable in INTERFACE_VARIABLES:
                os.environ.setdefault(variable, name)
            return
