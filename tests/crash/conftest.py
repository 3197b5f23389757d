"""What do the tests of crashes share? Folders to live and die in, and an uninterrupted run to compare them with."""

import shutil

import pytest

from tests.crash.home import Home


@pytest.fixture
def new_home(tmp_path_factory):
    """A function that gives a home without a past; nothing that was started in one outlives the test."""
    homes = []

    def make(storage: str | None = None) -> Home:
        homes.append(Home(tmp_path_factory.mktemp("home"), storage))
        return homes[-1]

    yield make
    for home in homes:
        home.end()
        shutil.rmtree(home.folder, ignore_errors=True)


@pytest.fixture
def home(new_home):
    return new_home()


@pytest.fixture(scope="session")
def best(tmp_path_factory):
    """What an uninterrupted run exports."""
    home = Home(tmp_path_factory.mktemp("whole"))
    assert home.run() == 0, home.said
    home.check_done()
    return home.best
