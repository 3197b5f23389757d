"""What do the tests of studies start from?"""

import pytest

from studies.ledger import Store


@pytest.fixture
def store(storage_url):
    store = Store(storage_url)
    yield store
    store.close()
