import torch
from hypothesis import given
from hypothesis import strategies as st

from trainables.batches import batch
from trainables.randomness import mixed

sizes = st.integers(1, 40)


@given(sizes, sizes, st.integers(0, 2**40))
def test_every_example_comes_once_an_epoch_and_every_batch_is_full(examples, batch_size, seed):
    epochs = -(-batch_size // examples) + 2
    batches = [batch(examples, batch_size, seed, step) for step in range(-(-epochs * examples // batch_size))]
    assert all(len(indices) == batch_size for indices in batches)
    stream = torch.cat(batches)[: epochs * examples]
    for epoch in stream.split(examples):
        assert sorted(epoch.tolist()) == list(range(examples))


@given(sizes, st.integers(1, 9), st.integers(1, 9), st.integers(0, 30))
def test_the_stream_does_not_depend_on_the_batch_size(examples, one, other, start):
    both = one * other
    first, second = (
        torch.cat([batch(examples, size, 1, step) for step in range(start * both // size, (start + 2) * both // size)])
        for size in (one, other)
    )
    assert torch.equal(first, second)


def test_seeds_and_epochs_have_their_own_orders():
    orders = {tuple(batch(50, 50, seed, epoch).tolist()) for seed in range(10) for epoch in range(10)}
    assert len(orders) == 100


def test_a_key_is_mixed_alike_in_every_process():
    assert mixed("epoch", 0, 1) == 444197918799243343
    assert len({mixed(seed, step) for seed in range(100) for step in range(100)}) == 10_000
