"""What is there to compute on, and how much of it does a plan take?"""

import gc
import os
import threading
import time
from typing import Literal

import torch

from studies.errors import InputError
from studies.plan import Plan
from trainables.trainable import Workload

CONTEXT_BYTES = 1 << 30  # of a CUDA context with cuDNN and cuBLAS and their workspaces, generously


def kind_of(device: Literal["auto", "cpu", "cuda"]) -> str:
    """The device that "auto" means here, or the one that is asked for."""
    return ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device


def count(device: str) -> int:
    """How many there are here: GPUs, or CPU cores."""
    return torch.cuda.device_count() if device == "cuda" else os.cpu_count() or 1


def settle(device: Literal["auto", "cpu", "cuda"], threads: int, processes: int = 1) -> str:
    """Use so many threads in this process from now on, whatever a task has changed before; the device that "auto" means here.

    Raises: InputError if CUDA is asked for and not there, or has fewer devices than there are processes to share a training.
    """
    torch.set_num_threads(threads)
    torch.set_default_dtype(torch.float32)
    torch.set_grad_enabled(True)
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: PyTorch finds no CUDA device on this machine; valid here: auto, cpu")
    device = kind_of(device)
    if device == "cuda" and processes > torch.cuda.device_count():
        there = f"{torch.cuda.device_count()}, as many as there are GPUs"
        raise InputError(f"--processes: expected at most {there}, or --device cpu; got {processes}")
    return device


def begin(device: str) -> None:
    """Have CUDA there before something is seeded that may draw on it: generators that come later are not."""
    if device.startswith("cuda"):
        torch.cuda.init()


def card(device: str) -> str:
    """The GPU that this process computes on, by its name and memory; "" if none."""
    if device == "cpu":
        return ""
    has = torch.cuda.get_device_properties(0)
    return f"{has.name}, {has.total_memory >> 20} MiB"


def lost() -> bool:
    """Whether this process has no more use of its GPU: after an error in a kernel (a failed assertion, an illegal address) each
    further call to CUDA fails."""
    try:
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()
    except RuntimeError:
        return True
    return False


def gpu_share(workload: Workload, plan: Plan) -> tuple[float, float]:
    """The fraction of this process's GPU memory that the plan takes, in (0, 1], and how much of it is not CUDA's context and the
    data: measured on two real steps, as only the second finds an optimizer's state beside its gradients, an evaluation and a
    state."""
    release()
    torch.cuda.reset_peak_memory_stats()
    trainable = workload.trainable(plan, "cuda")
    if teachers := getattr(plan.finish, "teachers", ()):
        trainable.enlist([workload.trainable(teacher, "cuda") for teacher in teachers])
    trainable.train(2, plan.at(0))
    trainable.evaluate()
    trainable.state()
    peak = torch.cuda.max_memory_reserved()
    del trainable
    release()
    total = torch.cuda.get_device_properties(0).total_memory
    return min(1.0, (peak + CONTEXT_BYTES) / total), min(1.0, (peak - torch.cuda.memory_reserved()) / total)


def release() -> None:
    """Give unused GPU memory back, so that neighbours on the GPU can have it."""
    if torch.cuda.is_initialized():
        gc.collect()
        torch.cuda.empty_cache()


def end_with(parent: int) -> threading.Thread:
    """End this process when the one that has started it is no longer there, whatever it waits for."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.2)
        os._exit(1)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread
