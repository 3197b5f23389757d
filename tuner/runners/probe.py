"""Which plans go together? What was measured of the task, once for each optimizer and batch size, and kept."""

import json
import logging
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from reports.files import write_whole
from studies.failpoints import failpoint
from studies.plan import Plan
from studies.trial import Progress, State
from tuner.runners.job import Job

log = logging.getLogger("tuner")

WORTH = 200
"""Steps that plans must have for a probe, which costs some dozen steps of each, to pay."""


@dataclass(frozen=True)
class Probe:
    """fused_from: so many plans are trained sooner fused than one after another; infinity: no number is. words: what was
    found. gpu_share: the fraction of a GPU's memory that one plan takes, in (0, 1]; 0 without a GPU."""

    fused_from: float = math.inf
    words: str = ""
    gpu_share: float = 0.0


class Probes:
    """The probes of a run, kept in its folder: numbers depend on what is fused, so resuming must come to the same.

    workers: over which cohorts are spread. gpu_share: where it is given, not measured.
    """

    def __init__(self, job: Job, workers: int, gpu_share: float | None = None):
        self._path, self._workers = job.folder / "probes.json", workers
        alone = job.processes == 1  # what several processes share has whole GPUs, and nobody in lockstep
        self._given = gpu_share and min(1.0, gpu_share) if alone else 1.0
        self._fuse = job.fuse if alone else False
        self._kind = f"{job.fingerprint[:16]} {job.device}"
        self._known = self._read()

    def known(self, plan: Plan) -> Probe | None:
        return self._known.get(self._key(plan))

    def keep(self, plan: Plan, probe: Probe) -> None:
        """Raises: StorageError."""
        if probe.words and probe.words != (self.known(plan) or Probe()).words:
            log.info("batch size %d, %s: %s", plan.batch_size, plan.optimizer, probe.words)
        self._known[self._key(plan)] = probe
        write_whole(self._path, json.dumps({key: asdict(known) for key, known in self._known.items()}, indent=1))
        failpoint("probe.kept")

    def share(self, plan: Plan) -> float | None:
        """The fraction of a GPU's memory that a plan takes, in [0, 1]; None: to be probed first."""
        probe = self.known(plan)
        return self._given or (probe.gpu_share if probe else None)

    def room(self, plan: Plan, free: float = 1.0) -> int:
        """How many plans of a known kind the free part of a GPU's memory holds; any number without a GPU."""
        share = self.share(plan)
        return int(free / share + 1e-6) if share else sys.maxsize

    def crowded(self, plan: Plan, had: float) -> bool:
        """With that share of a GPU a plan ran out of memory: its kind gets twice as much. False if it had all there is."""
        if self._given or had >= 1:
            return False
        known = self.known(plan) or Probe()
        self.keep(plan, replace(known, gpu_share=max(known.gpu_share, min(1.0, 2 * had))))
        return True

    def fused(self, company: Sequence[Plan]) -> bool | None:
        """Whether these plans, one at least, go fused; None: to be probed first. Depends on nothing but them and what is kept."""
        each = len(company) // self._workers
        if self._fuse is False or (self._fuse is None and (each < 2 or max(plan.steps for plan in company) < WORTH)):
            return False
        if probe := self.known(company[0]):
            return probe.fused_from <= (1 if self._fuse else each)
        return None

    def _key(self, plan: Plan) -> str:
        recipe = f" {plan.recipe.model_dump_json()}" if plan.recipe else ""
        return f"{self._kind} {'+'.join(plan.optimizers)} {plan.batch_size}{recipe}"

    def _read(self) -> dict[str, Probe]:
        try:
            return {key: Probe(**known) for key, known in json.loads(self._path.read_text()).items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, AttributeError) as error:
            log.warning("%s: cannot be read (%s); what it held is measured again", self._path, error)
            return {}


def out_of_memory(progress: Progress) -> bool:
    """Whether a plan has failed for want of a GPU's memory."""
    return progress.ended is State.FAILED and "OutOfMemoryError" in progress.error
