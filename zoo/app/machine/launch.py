"""Several processes for one run: joining them, agreeing on what one decides, and parting."""

from __future__ import annotations

import datetime
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from mmengine.dist import barrier, broadcast_object_list, get_rank, get_world_size, init_dist
from rich.console import Console

T = TypeVar("T")
PATIENCE = datetime.timedelta(hours=2)  # how long the others wait while the first renders hands

# What Slurm calls the numbers that torchrun hands to each process.
_FROM_SLURM = {
    "RANK": "SLURM_PROCID",
    "WORLD_SIZE": "SLURM_NTASKS",
    "LOCAL_RANK": "SLURM_LOCALID",
    "MASTER_ADDR": "SLURM_LAUNCH_NODE_IPADDR",
}


def join(launcher: str, console: Console) -> Console:
    """Joins the processes that torchrun or Slurm started; returns the console to write to.

    NCCL where every process has a CUDA device, gloo on CPUs. Only the first process keeps the
    terminal. Raises ValueError where the launcher and the environment do not agree.
    """
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if launcher == "none":
        if started > 1:
            raise ValueError(
                f"torchrun started {started} processes, but --launcher is none, so each would "
                "train alone into one folder; add --launcher pytorch."
            )
        return console
    if not dist.is_initialized():
        _join(launcher)
    return console if get_rank() == 0 else Console(file=io.StringIO())


def _join(launcher: str) -> None:
    if launcher == "slurm":
        _need("SLURM_PROCID", launcher, "start it with srun")
        if torch.cuda.is_available():
            init_dist("slurm", backend="nccl", timeout=PATIENCE.total_seconds())
            return
        for name, slurm in _FROM_SLURM.items():
            _need(slurm, launcher, "start it with srun")
            os.environ.setdefault(name, os.environ[slurm])
        os.environ.setdefault("MASTER_PORT", "29500")
    _need("RANK", launcher, "start it with torchrun --nproc-per-node N -m zoo.app.cli train ...")
    if torch.cuda.is_available():
        init_dist("pytorch", backend="nccl", timeout=PATIENCE.total_seconds())
    else:  # mmengine's own start asks for a CUDA device
        dist.init_process_group("gloo", timeout=PATIENCE)


def _need(variable: str, launcher: str, what_to_do: str) -> None:
    if variable not in os.environ:
        raise ValueError(
            f"--launcher {launcher}: {variable} is not set, so nobody started several processes; "
            f"{what_to_do}, or leave --launcher out."
        )


def leave() -> bool:
    """Parts the processes after training; True for the one that goes on to measure and write."""
    first = get_rank() == 0
    if dist.is_initialized():
        barrier()
        dist.destroy_process_group()
    return first


def first_decides(choose: Callable[[], T]) -> T:
    """What the first process chooses, on all of them; what it raises, all raise."""
    if get_world_size() == 1:
        return choose()
    said: list[Any] = [None]
    if get_rank() == 0:
        try:
            said = [(choose(), None)]
        except Exception as error:
            said = [(None, error)]
    broadcast_object_list(said)
    answer, error = said[0]
    if error is not None:
        raise error
    return answer


@contextmanager
def first_first() -> Iterator[None]:
    """The first process runs the body alone, the others after it: what it caches, they find."""
    if get_rank() != 0:
        barrier()
    yield
    if get_rank() == 0:
        barrier()


def on_any(flag: bool) -> bool:
    """Whether the flag is up in any process; every process has to ask."""
    if get_world_size() == 1:
        return flag
    device = "cuda" if torch.cuda.is_available() else "cpu"
    raised = torch.tensor(int(flag), device=device)
    dist.all_reduce(raised, dist.ReduceOp.MAX)
    return bool(raised)


def wrapper() -> dict[str, Any] | None:
    """How mmengine wraps the model of several processes; None for a single one.

    Batch norm keeps each process's own statistics, as in both ancestors.
    """
    if get_world_size() == 1:
        return None
    devices = [int(os.environ["LOCAL_RANK"])] if torch.cuda.is_available() else None
    return {
        "type": "MMDistributedDataParallel",
        "device_ids": devices,
        "broadcast_buffers": False,
    }
