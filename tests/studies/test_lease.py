"""Is what was acknowledged kept, and does only one driver write, whoever is killed or frozen?"""

import os
import random
import signal
import socket
import threading
import time

import psutil
import pytest
import sqlalchemy as sa

from studies.database import STUDIES
from studies.errors import BusyError, StorageError
from studies.ledger import Store
from studies.plan import Plan, constant
from studies.study import StudyState
from studies.trial import Metric, Point, Progress, State
from tests.waiting import until

ACCURACY = Metric(name="accuracy", mode="max")
PLANS = [constant(Plan(), rate, 100_000) for rate in (0.1, 0.2, 0.3)]


def write_for_ever(url, first, pipe):
    """Plans and records without end, and says after each step what has been acknowledged."""
    with Store(url).drive("flowers", {}) as driver:
        study = driver.stage("stage1", ACCURACY)
        for step in range(first, 100_000):
            study.plan(PLANS[: 1 + step % 3])
            study.record(Progress(PLANS[0], (Point(step, {"accuracy": 0.5}), Point(step + 1, {"accuracy": 0.5}))))
            pipe.send(step)


def test_nothing_that_was_acknowledged_is_lost_when_the_writer_is_killed(storage_url, start):
    store, acknowledged = Store(storage_url), 0
    for _ in range(5):
        process, pipe = start(write_for_ever, storage_url, acknowledged + 1)
        assert pipe.poll(20)
        time.sleep(random.uniform(0, 0.15))
        process.kill()
        process.join()
        try:
            while True:
                acknowledged = pipe.recv()
        except EOFError:
            pass
        trials = store.trials("flowers", "stage1")
        steps = [point.step for point in trials[0].points]
        assert steps == list(range(1, len(steps) + 1)) and len(steps) in (acknowledged + 1, acknowledged + 2)
        assert [trial.plan for trial in trials] == PLANS[: len(trials)]
        assert store.record("flowers").state is StudyState.STALE


def hold(url, seconds, pipe):
    """Drives a study; at each message tries to write, and answers with how that went."""
    with Store(url, seconds).drive("flowers", {"mine": True}) as driver:
        study = driver.stage("stage1", ACCURACY)
        study.plan(PLANS[:1])
        pipe.send("driving")
        for step in iter(pipe.recv, None):
            try:
                study.record(Progress(PLANS[0], (Point(step, {"accuracy": 0.1}),)))
                pipe.send("written")
            except BusyError as error:
                pipe.send(str(error))


def test_a_second_driver_is_told_of_the_first_and_waits_for_its_death_only(storage_url, start):
    store = Store(storage_url)
    process, pipe = start(hold, storage_url, 30)
    assert pipe.recv() == "driving"
    with pytest.raises(BusyError, match=f"study 'flowers' is being run by process {process.pid} on "), store.drive("flowers", {}):
        pass
    assert store.record("flowers").owner.endswith(f":{process.pid}")
    assert store.record("flowers").state is StudyState.RUNNING
    os.kill(process.pid, signal.SIGKILL)  # and not waited for: a zombie drives nothing
    until(lambda: store.record("flowers").state is StudyState.STALE)
    with store.drive("flowers", {}):
        assert store.record("flowers").state is StudyState.RUNNING


def test_a_driver_lives_on_when_the_clock_is_set_and_beside_a_machine_of_its_own_name(storage_url, monkeypatch):
    store, boot = Store(storage_url), psutil.boot_time()
    with store.drive("flowers", {}):
        monkeypatch.setattr(psutil._psplatform, "boot_time", lambda: boot + 600)
        assert store.record("flowers").state is StudyState.RUNNING
        with store._database.write() as connection:  # where it has another number
            elsewhere = f"{socket.gethostname()} {os.readlink('/proc/self/ns/pid')} another-boot"
            connection.execute(sa.update(STUDIES).values(place=elsewhere, pid=2**30))
        assert store.record("flowers").state is StudyState.RUNNING


def test_a_frozen_driver_that_comes_back_writes_nothing(storage_url, start):
    store = Store(storage_url, lease_seconds=1)
    process, pipe = start(hold, storage_url, 1)
    assert pipe.recv() == "driving"
    pipe.send(1)
    assert pipe.recv() == "written"
    os.kill(process.pid, signal.SIGSTOP)
    until(lambda: store.record("flowers").state is StudyState.STALE)
    with store.drive("flowers", {"mine": False}) as driver:
        study = driver.stage("stage1", ACCURACY)
        study.record(Progress(PLANS[0], (Point(2, {"accuracy": 0.2}),)))
        os.kill(process.pid, signal.SIGCONT)
        pipe.send(3)
        assert f"is being run by process {os.getpid()} on" in pipe.recv()
        pipe.send(None)
        process.join(20)
        assert store.record("flowers").owner.endswith(f":{os.getpid()}")
        study.record(Progress(PLANS[0], (Point(4, {"accuracy": 0.4}),)))
        assert study.trials()[0].curve("accuracy") == [(1, 0.1), (2, 0.2), (4, 0.4)]
    assert (store.record("flowers").state, store.record("flowers").settings) == (StudyState.STOPPED, {"mine": False})


def test_a_lease_is_renewed_while_the_driver_is_busy_elsewhere(storage_url):
    store = Store(storage_url, lease_seconds=1.2)  # renewed after a third of it, however busy the machine
    with store.drive("flowers", {}) as driver:
        study = driver.stage("stage1", ACCURACY)
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            with pytest.raises(BusyError), store.drive("flowers", {}):
                pass
            time.sleep(0.1)
        study.plan(PLANS)
    with store.drive("flowers", {}):
        pass


def test_a_driver_outlives_a_restart_of_the_server(postgresql):
    store = Store(postgresql.database(), lease_seconds=0.7)
    with store.drive("flowers", {}) as driver:
        study = driver.stage("stage1", ACCURACY)
        study.plan(PLANS)
        for work in (lambda: study.record(Progress(PLANS[0], (Point(1, {"accuracy": 0.1}),))), study.trials):
            postgresql.stop()
            waiting = threading.Thread(target=work)
            waiting.start()
            time.sleep(1.5)  # two leases
            postgresql.start()
            waiting.join(20)
            assert [point.step for point in study.trials()[0].points] == [1]
        until(lambda: store.record("flowers").state is StudyState.RUNNING)
        time.sleep(1.5)  # it holds only if the renewing thread has outlived the server as well
        assert store.record("flowers").state is StudyState.RUNNING


def test_a_server_that_stays_away_is_told_after_a_while(postgresql):
    store = Store(postgresql.database(), lease_seconds=0.1)
    with store.drive("flowers", {}) as driver:
        study = driver.stage("stage1", ACCURACY)
        study.plan(PLANS)
        postgresql.stop()
        try:
            for work in (lambda: study.record(Progress(PLANS[0], (Point(1, {"accuracy": 0.1}),))), study.trials):
                started = time.monotonic()
                with pytest.raises(StorageError, match="refused"):
                    work()
                assert 1.5 < time.monotonic() - started < 20
            with pytest.raises(StorageError, match="refused"):
                store.studies()
        finally:
            postgresql.start()
        study.record(Progress(PLANS[0], (Point(2, {"accuracy": 0.2}),), ended=State.DIVERGED))
        assert study.trials()[0].curve("accuracy") == [(2, 0.2)]


def read_until(url, enough, pipe):
    """Reads and reads; says when there is something, and at the end how many points there were each time."""
    store, seen = Store(url), [0]
    pipe.send("reading")
    while seen[-1] < enough:
        seen.append(sum(len(trial.points) for trial in store.trials("flowers", "stage1")))
        if seen[-1] and not seen[-2]:
            pipe.send("there is something")
    pipe.send(seen)


def test_readers_and_the_writer_do_not_stop_each_other(storage_url, start):
    with Store(storage_url).drive("flowers", {}) as driver:
        study = driver.stage("stage1", ACCURACY)
        study.plan(PLANS)
        pipes = [start(read_until, storage_url, 40)[1] for _ in range(2)]
        assert [pipe.recv() for pipe in pipes] == ["reading"] * 2
        for step in range(40):
            study.record(Progress(PLANS[step % 3], (Point(step + 1, {"accuracy": 0.1}),)))
            if step == 20:
                assert [pipe.poll(20) and pipe.recv() for pipe in pipes] == ["there is something"] * 2
        for pipe in pipes:
            assert pipe.poll(20)
            seen = pipe.recv()
            assert seen == sorted(seen) and any(0 < points < 40 for points in seen)
