"""What do the tests of studies start from?"""

import multiprocessing

import pytest

from studies.ledger import Store


@pytest.fixture
def store(storage_url):
    store = Store(storage_url)
    yield store
    store.close()


@pytest.fixture
def start():
    """Starts a function in a process of its own, with one end of a pipe as its last argument; gives (process, other end)."""
    started, forked = [], multiprocessing.get_context("fork")

    def start(function, *arguments):
        ours, theirs = forked.Pipe()
        process = forked.Process(target=function, args=(*arguments, theirs))
        process.start()
        theirs.close()
        started.append(process)
        return process, ours

    yield start
    for process in started:
        process.kill()
        process.join()
