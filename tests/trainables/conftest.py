import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """As the runners do: sums depend on it."""
    torch.set_num_threads(1)
