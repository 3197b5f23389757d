"""How do torch's optimizers, and its DistributedDataParallel, work where nothing is compiled?

As ever; but the first one in a process imports all of torch's compiler, torch._dynamo, only to tell it what it should leave
alone: 2.4 s of CPU time and 150 MB (torch 2.14), in the driver and in each worker.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace

_COMPILER = "torch._dynamo"
_stand_in = ModuleType(_COMPILER)
_stand_in.graph_break = lambda: None
_stand_in.disable = lambda function, *args, **options: function
_stand_in.utils = SimpleNamespace(get_optimize_ddp_mode=lambda: "no_optimization")


@contextmanager
def eager() -> Iterator[None]:
    """Within it torch's own classes find a stand-in for a compiler that nobody has imported.

    For nothing else but them: whoever wants to compile must find the compiler.
    """
    if _COMPILER in sys.modules:
        yield
        return
    sys.modules[_COMPILER] = _stand_in
    try:
        yield
    finally:
        sys.modules.pop(_COMPILER, None)
