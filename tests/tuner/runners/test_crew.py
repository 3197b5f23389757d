"""Who works on which GPU, with how much of it? On GPUs that are pretended, as the driver sees them."""

import logging
from dataclasses import replace
from types import SimpleNamespace

import pytest

from studies.plan import constant
from studies.trial import Progress, State
from tests.tuner.runners.records import BASE
from tuner.runners.cluster import Slots, slots
from tuner.runners.crew import Crew, Hand
from tuner.runners.job import Agenda, Job
from tuner.runners.probe import Probe, Probes
from tuner.runners.ray_tune import ERRAND, FOUND, _Experiment, _Wave
from tuner.runners.workers import _Run

CARD = "NVIDIA A100, 40000 MiB"
RATES = [constant(BASE, 0.01 * (n + 1), 400) for n in range(6)]


class Actor:
    """Notes what it is asked."""

    def __init__(self):
        self.asked = []

    def __getattr__(self, name):
        return SimpleNamespace(remote=lambda *given: self.asked.append(name) or object())


def hired(tmp_path, gpus=1, each=8):
    """A crew of so many GPUs with so many workers each, all of whom have arrived, and its job."""
    job = Job("tasks.py:Line", tmp_path / "checkpoints", "0" * 64, 80, tmp_path)
    crew = Crew(job, Slots(0, 1, 1 / each))
    crew.parts = Slots(gpus * each, 1, 1 / each).parts
    crew.hands = [fresh(f"GPU {gpu}") for gpu in range(gpus) for _ in range(each)]
    return crew, job


def fresh(gpu):
    return Hand(Actor(), None, None, None, gpu=gpu, card=CARD)


def hand_out(crew, job, probe, plans=RATES):
    """A run that has just handed out what it can; the sizes of the cohorts."""
    probes = Probes(job, crew.parts)
    probes.on(CARD).keep(plans[0], probe)
    work = _Run(1, crew, Agenda(plans), lambda progress: None, probes)
    work._hand_out()
    return work, cohorts(crew)


def cohorts(crew):
    return [len(hand.cohort) for hand in crew.hands if hand.cohort]


@pytest.mark.parametrize(
    ("gpus", "probe", "sizes"),
    [
        (1, Probe(2, "", 0.1, 0.02), [6]),
        (2, Probe(2, "", 0.1, 0.02), [3, 3]),
        (1, Probe(2, "", 0.5, 0.25), [3]),
        (1, Probe(gpu_share=0.4, gpu_more=0.2), [1, 1]),
    ],
)
def test_what_goes_together_is_divided_among_gpus_not_among_workers_that_take_turns(tmp_path, gpus, probe, sizes):
    assert hand_out(*hired(tmp_path, gpus), probe)[1] == sizes


def test_what_does_not_fit_beside_those_that_rest_waits_until_they_are_gone(tmp_path):
    crew, job = hired(tmp_path, each=3)
    first, *others = crew.hands
    for hand in others:
        hand.ask(object(), None, (), Probe(gpu_share=0.3, gpu_more=0.2))
        hand.rest()
    assert crew.free(first) == pytest.approx(0.8) and crew.load(first.gpu) == 0
    big = Probe(gpu_share=0.85, gpu_more=0.75)
    work, begun = hand_out(crew, job, big, RATES[:1])
    assert begun == [1], "the others leave nine tenths to one that is warm itself"
    (hand,) = [hand for hand in crew.hands if hand.cohort]
    assert hand in others
    work._reported(hand, Progress(RATES[0], ended=State.FAILED, error="torch.OutOfMemoryError: CUDA out of memory"))
    work._hand_out()
    assert not cohorts(crew) and [hand.actor.asked for hand in crew.hands].count(["leave"]) == 1
    work._hand_out()
    assert not cohorts(crew), "it has not been heard to be gone"
    (gone,) = [hand for hand in crew.hands if hand.actor.asked == ["leave"]]
    crew.hands[crew.hands.index(gone)] = fresh(gone.gpu)
    work._hand_out()
    assert cohorts(crew) == [1] and crew.load(hand.gpu) == 1.0 and crew.free(first) == 0.0


def test_a_kind_is_probed_while_nobody_works_on_the_gpu_and_one_of_those_that_are_warm_goes_on(tmp_path):
    crew, job = hired(tmp_path)
    work = _Run(1, crew, Agenda(RATES[:2]), lambda progress: None, Probes(job, crew.parts))
    work._hand_out()
    assert [hand.actor.asked for hand in crew.hands if hand.waits] == [["probe"]]
    (hand,) = [hand for hand in crew.hands if hand.waits]
    assert crew.load(hand.gpu) == 1.0
    work._probed(hand, Probe(words="RuntimeError", gpu_share=1.0, failed=True))
    work._hand_out()
    assert hand.actor.asked == ["probe", "carry_out"] and cohorts(crew) == [1]


def test_a_gpu_without_cuda_is_told_once_for_each_machine(tmp_path, caplog):
    crew, _ = hired(tmp_path)
    with caplog.at_level(logging.WARNING, "tuner"):
        for number in range(2):
            crew._arrived(crew.hands[number], (f"process {number} on old-driver", "", ""))
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == ["old-driver"]


@pytest.mark.parametrize(
    ("machines", "workers", "given"),
    [
        ([(64, 4)], None, Slots(32, 1, 0.125)),
        ([(64, 4)], 8, Slots(8, 1, 0.5)),
        ([(64, 4)], 4, Slots(4, 1, 1.0)),
        ([(64, 4)], 2, Slots(2, 1, 1.0)),
        ([(64, 4)], 100, Slots(32, 1, 0.125)),
        ([(64, 2), (8, 2)], 8, Slots(8, 1, 0.5)),
        ([(2, 4)], 8, Slots(2, 1, 1.0)),
    ],
)
def test_workers_have_no_less_of_a_gpu_than_spreads_them_over_all(tmp_path, machines, workers, given):
    _, job = hired(tmp_path)
    assert slots(machines, job, None, workers) == given


@pytest.mark.parametrize(
    ("given", "parts"),
    [(Slots(8, 1, 0.125), 1), (Slots(32, 1, 0.125), 4), (Slots(6, 1, 0.3333), 2), (Slots(2, 1, 2.0), 2), (Slots(5, 1, 0.0), 5)],
)
def test_workers_of_one_gpu_count_as_one(given, parts):
    assert given.parts == parts


def test_under_ray_tune_a_kind_is_measured_once_and_what_is_too_little_is_doubled_and_kept(tmp_path):
    _, job = hired(tmp_path)
    experiment = _Experiment(job, None, None)
    experiment._slots, experiment._probes, experiment._bell = Slots(8, 1, 0.125), Probes(job, 1), tmp_path
    experiment._wave = _Wave(Agenda(RATES[:2]), lambda: False)

    def suggested(name):
        return SimpleNamespace(trial_id=name, config=experiment.suggest(name))

    trial = suggested("a")
    assert trial.config[ERRAND]["measure"] and trial.config[ERRAND]["gpus"] == 1.0
    assert suggested("b").config is None
    experiment.heard(trial, {FOUND: (CARD, Probe(gpu_share=0.3)), "hostname": "here"})
    experiment.over(trial)
    for share in (0.3, 0.6):
        trial = suggested("c")
        assert trial.config[ERRAND]["gpus"] == share and not trial.config[ERRAND]["measure"]
        full = Progress(experiment._at_work["c"].plan, ended=State.FAILED, error="torch.OutOfMemoryError: CUDA out of memory")
        experiment.heard(trial, {"progress": full})
        experiment.over(trial)
    assert Probes(job, 1).on(CARD).memory(RATES[0]).gpu_share == 1.0


def test_under_ray_tune_several_processes_without_a_gpu_ask_for_none(tmp_path):
    job = replace(hired(tmp_path)[1], processes=2)
    experiment = _Experiment(job, None, None)
    experiment._slots, experiment._probes, experiment._bell = Slots(1, 2, 0.0), Probes(job, 1), tmp_path
    experiment._wave = _Wave(Agenda(RATES[:1]), lambda: False)
    assert experiment.suggest("a")[ERRAND]["gpus"] == 0
