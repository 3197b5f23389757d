"""Which plans go together? What was measured of the task, once for each kind of plan on each kind of GPU, and kept."""

import copy
import json
import logging
import math
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from studies.failpoints import failpoint
from studies.files import write_whole
from studies.plan import Plan
from studies.trial import Progress, State
from tuner.runners.job import Job

log = logging.getLogger("tuner")

FULL = r"OutOfMemoryError|CUDA (driver )?error: out of memory|_ALLOC(ATION)?_FAILED"

FUSE = {None: "", True: " fused", False: " alone"}
"""What is asked for, as a part of a key: what was found without fusing says nothing of it."""

LITTLE = 0.01
"""Of a GPU's memory."""

WORTH = 200
"""Steps that plans must have for a probe, which costs some dozen steps of each, to pay."""


@dataclass(frozen=True)
class Probe:
    """fused_from: so many plans are trained sooner fused than one after another; infinity: no number is. words: what was
    found. gpu_share: the fraction of a GPU's memory that one plan takes, CUDA's context and the data included, in (0, 1]; 0
    without a GPU. gpu_more: the fraction that each further plan takes that is fused with it; 0: as much. failed: something
    was raised, so that a later run had better measure once more."""

    fused_from: float = math.inf
    words: str = ""
    gpu_share: float = 0.0
    gpu_more: float = 0.0
    failed: bool = False

    def taken(self, plans: int) -> float:
        """The fraction of a GPU's memory that so many take, fused."""
        return self.gpu_share + (plans - 1) * (self.gpu_more or self.gpu_share)

    def room(self, free: float = 1.0) -> int:
        """How many, fused, the free part of a GPU's memory holds; any number without a GPU."""
        if not self.gpu_share:
            return sys.maxsize
        return max(0, 1 + math.floor((free - self.gpu_share) / (self.gpu_more or self.gpu_share) + 1e-6))

    @property
    def resident(self) -> float:
        """The fraction of a GPU's memory that a process keeps while it rests; a little, where that was not measured."""
        return self.gpu_share - self.gpu_more if self.gpu_more else min(self.gpu_share, LITTLE)


class Probes:
    """The probes of a run, kept in its folder: numbers depend on what is fused, so resuming must come to the same.

    parts: among so many what goes together is divided. gpu_share: where it is given, not measured.
    """

    def __init__(self, job: Job, parts: int, gpu_share: float | None = None):
        self._path, self._parts = job.folder / "probes.json", parts
        alone = job.processes == 1  # what several processes share has whole GPUs, and nobody in lockstep
        self._given = gpu_share and min(1.0, gpu_share) if alone else 1.0
        self._fuse = job.fuse if alone else False
        self._kind = f"{job.fingerprint[:16]} {job.device}{FUSE[self._fuse]}"
        self._card = ""
        self._known = self._read()

    def on(self, card: str) -> "Probes":
        """The same, of what is found on this kind of GPU; "" without one."""
        other = copy.copy(self)
        other._card = card
        return other

    def known(self, plan: Plan) -> Probe | None:
        return self._known.get(self._key(plan))

    def keep(self, plan: Plan, probe: Probe) -> None:
        """Raises: StorageError."""
        if probe.words and probe.words != (self.known(plan) or Probe()).words:
            log.info("batch size %d, %s: %s", plan.batch_size, plan.optimizer, probe.words)
        self._known[self._key(plan)] = probe
        lasting = {key: asdict(known) for key, known in self._known.items() if not known.failed}
        write_whole(self._path, json.dumps(lasting, indent=1))
        failpoint("probe.kept")

    def memory(self, plan: Plan) -> Probe:
        """What a plan takes of a GPU; where its gpu_share is 0, it is to be probed first."""
        return Probe(gpu_share=self._given) if self._given else self.known(plan) or Probe()

    def crowded(self, plan: Plan, had: float) -> bool:
        """With that share of a GPU a plan ran out of memory: its kind gets twice as much. False if it had all there is."""
        if self._given or not 0 < had < 1:
            return False
        known = self.known(plan) or Probe()
        share = max(known.gpu_share, min(1.0, 2 * had))
        more = known.gpu_more and share - known.resident
        self.keep(plan, replace(known, gpu_share=share, gpu_more=more))
        return True

    def fused(self, company: Sequence[Plan]) -> bool | None:
        """Whether these plans, one at least, go fused; None: to be probed first. Depends on nothing but them and what is kept."""
        each = len(company) // self._parts
        if self._fuse is False or company[0].finish:
            return False
        if self._fuse is None and (each < 2 or max(plan.steps for plan in company) < WORTH):
            return False
        if probe := self.known(company[0]):
            return probe.fused_from <= (1 if self._fuse else each)
        return None

    def _key(self, plan: Plan) -> str:
        recipe = f" {plan.recipe.model_dump_json()}" if plan.recipe else ""
        finish = f" {plan.finish.kind} {len(getattr(plan.finish, 'teachers', ()))}" if plan.finish else ""
        card = f" {self._card}" if self._card else ""
        return f"{self._kind} {'+'.join(plan.optimizers)} {plan.batch_size}{recipe}{finish}{card}"

    def _read(self) -> dict[str, Probe]:
        try:
            return {key: Probe(**known) for key, known in json.loads(self._path.read_text()).items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, AttributeError) as error:
            log.warning("%s: cannot be read (%s); what it held is measured again", self._path, error)
            return {}


def out_of_memory(progress: Progress) -> bool:
    """Whether a plan has failed for want of a GPU's memory, of which CUDA and its libraries each speak in their own way."""
    return progress.ended is State.FAILED and bool(re.search(FULL, headline(progress)))


def headline(progress: Progress) -> str:
    """What was raised that a plan has failed of: the first line of it."""
    _, _, last = progress.error.rpartition('\n  File "')
    lines = [line for line in last.splitlines()[1:] if not line.startswith(" ")]
    return lines[0] if lines else progress.error
