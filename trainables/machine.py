"""What is there to compute on, and how much of it does a plan take?"""

import gc
from typing import Literal

import torch

from studies.errors import InputError
from studies.plan import Plan
from trainables.trainable import Workload

CONTEXT_BYTES = 1 << 30  # of a CUDA context with cuDNN and cuBLAS and their workspaces, generously


def kind_of(device: Literal["auto", "cpu", "cuda"]) -> str:
    """The device that "auto" means here, or the one that is asked for."""
    return ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device


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


def gpu_share(workload: Workload, plan: Plan) -> float:
    """The fraction of this process's GPU memory that the plan takes, in (0, 1]: measured on one real step and evaluation."""
    release()
    torch.cuda.reset_peak_memory_stats()
    trainable = workload.trainable(plan, "cuda")
    trainable.train(1, plan.at(0))
    trainable.evaluate()
    peak = torch.cuda.max_memory_reserved() + CONTEXT_BYTES
    del trainable
    release()
    return min(1.0, peak / torch.cuda.get_device_properties(0).total_memory)


def release() -> None:
    """Give unused GPU memory back, so that neighbours on the GPU can have it."""
    if torch.cuda.is_initialized():
        gc.collect()
        torch.cuda.empty_cache()
