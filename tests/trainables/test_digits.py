"""Are the digits scikit-learn's?"""

import torch

from trainables.tasks.digits import Digits


def test_they_are_what_scikit_learn_loads():
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    order = torch.randperm(1797, generator=torch.Generator().manual_seed(0))
    inputs, targets = map(torch.cat, zip(*Digits().data()))
    assert torch.equal(inputs.flatten(1), torch.tensor(images / 16, dtype=torch.float32)[order])
    assert torch.equal(targets, torch.tensor(labels)[order])
    assert (inputs.dtype, targets.dtype) == (torch.float32, torch.int64)
