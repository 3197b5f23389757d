import random

import numpy as np
import pytest
import torch

from studies.errors import InputError, TaskError
from studies.finish import Fold
from studies.plan import Plan, constant
from studies.recipe import Recipe
from studies.trial import Metric
from tests.trainables.helpers import completed, points, same, train, workload
from trainables import load_task
from trainables.split import Split

PLAN = constant(Plan(batch_size=4), 0.1, 6)
BEGIN = "import torch\nfrom torch import nn\nfrom trainables import Task, Trainable\nXY = torch.rand(8, 3), torch.arange(8) % 2\n"
WHOLE = BEGIN + (
    "class Flowers(Task):\n"
    "    metric, mode = 'accuracy', 'max'\n"
    "    def data(self): return XY, XY\n"
    "    def model(self): return nn.Linear(3, 2)\n"
)


def written(tmp_path, text: str, name: str = "mine.py") -> str:
    path = tmp_path / name
    path.write_text(text)
    return str(path)


def sizes(task) -> tuple[int, int]:
    return task.train_examples, task.valid_examples


def trained(task) -> dict[str, float]:
    trainable = task.trainable(PLAN, "cpu")
    trainable.train(3, 0.1)
    return trainable.evaluate()


def test_a_task_in_a_file(tmp_path):
    task = load_task(written(tmp_path, WHOLE) + ":Flowers")
    assert (task.name, task.target) == ("Flowers", Metric(name="accuracy", mode="max"))
    assert sizes(task) == (8, 8)
    assert set(trained(task)) == {"val_loss", "accuracy", "update_ratio"}


def test_a_task_in_a_module_of_the_folder_one_stands_in(tmp_path, monkeypatch):
    (tmp_path / "garden").mkdir()
    written(tmp_path / "garden", WHOLE, "beds.py")
    monkeypatch.chdir(tmp_path)
    assert load_task("garden.beds:Flowers").train_examples == 8
    assert load_task("./garden/beds.py:Flowers").train_examples == 8


def test_a_task_with_a_module_beside_it(tmp_path):
    written(tmp_path, "CLASSES = 2\n", "soil.py")
    task = load_task(written(tmp_path, WHOLE.replace("import torch\n", "import torch\nfrom soil import CLASSES\n")) + ":Flowers")
    assert trained(task)


def test_an_edited_task_is_loaded_as_it_is_now(tmp_path):
    written(tmp_path, "CLASSES = 2\n", "earth.py")
    text = "from earth import CLASSES\n" + WHOLE.replace("(3, 2)", "(3, CLASSES)")
    spec = written(tmp_path, text) + ":Flowers"
    before = load_task(spec)
    written(tmp_path, "CLASSES = 20  # more\n", "earth.py")
    after = load_task(spec)
    assert before.fingerprint != after.fingerprint
    assert after.trainable(PLAN, "cpu").model.out_features == 20


def test_what_data_names_is_known_when_data_is_called(tmp_path):
    spec = written(tmp_path, WHOLE.replace("return XY, XY", "raise ValueError(self.data_path)")) + ":Flowers"
    one, other = load_task(spec, "here"), load_task(spec, "there")
    for task, path in ((one, "here"), (other, "there")):
        with pytest.raises(TaskError, match=f"Flowers.data: ValueError: {path}"):
            sizes(task)


def test_data_is_asked_for_once(tmp_path):
    text = WHOLE.replace(
        "    def data(self): return", "    calls = 0\n    def data(self):\n        self.calls += 1\n        return"
    )
    task = load_task(written(tmp_path, text) + ":Flowers")
    trained(task), trained(task), sizes(task)
    assert task.task.calls == 1


def test_without_a_metric_the_targets_decide():
    assert workload("Line").target == Metric(name="val_loss", mode="min")
    assert workload("Plain").target == Metric(name="accuracy", mode="max")
    assert workload("Words").target == Metric(name="accuracy", mode="max")


def test_built_in_digits():
    task = load_task("digits")
    assert (task.name, task.train_examples, task.valid_examples) == ("digits", 1438, 359)
    assert task.target == Metric(name="accuracy", mode="max")
    trainable = task.trainable(constant(Plan(), 0.1, 100), "cpu")
    trainable.train(100, 0.1)
    assert trainable.evaluate()["accuracy"] > 0.9


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("digit", "cifar10:shakedrop110, file.py:Name, module:Name or replay:FILE; got 'digit'"),
        (":Flowers", "got ':Flowers'"),
        ("mine.py:", "got 'mine.py:'"),
        ("", "got ''"),
        ("nowhere.py:Flowers", "there is no file"),
        ("nowhere:Flowers", "--task nowhere:Flowers: there is no module 'nowhere'; expected file.py:Name or module:Name"),
        ("tests.nowhere:Flowers", "there is no module 'tests.nowhere'"),
        ("mine.py:Flower", "--task mine.py:Flower: there is no Flower; tasks in it: Flowers"),
        ("mine.py:XY", "XY is no subclass of Task or Trainable; tasks in it: Flowers"),
        ("mine.py:Task", "Task is no subclass of Task or Trainable"),
        ("half.py:Half", "Half has no evaluate and no restore; tasks in it: Whole"),
        ("replay:nowhere.csv", "there is no file nowhere.csv"),
    ],
)
def test_a_wrong_spec_is_one_line(spec, told, tmp_path, monkeypatch):
    written(tmp_path, WHOLE)
    methods = "".join(f"    def {name}(self, *a): pass\n" for name in ("train", "state"))
    rest = "".join(f"    def {name}(self, *a): pass\n" for name in ("evaluate", "restore"))
    written(tmp_path, f"{BEGIN}class Half(Trainable):\n{methods}class Whole(Half):\n{rest}", "half.py")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as error:
        load_task(spec)
    assert told in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import nothing_of_that_name", "ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("class Flowers(:", "SyntaxError: invalid syntax"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        (WHOLE + "    def __init__(self, size): pass", "TypeError: Flowers.__init__() missing 1 required positional argument"),
        (
            WHOLE.replace("'max'", "'maximum'"),
            "expected metric, a name, and mode, 'min' or 'max'; got metric = 'accuracy', mode = 'maximum'",
        ),
        (
            BEGIN
            + "class Flowers(Trainable):\n"
            + "".join(f"    def {m}(self): 0\n" for m in ("train", "evaluate", "state", "restore")),
            "Flowers: expected metric, a name, and mode, 'min' or 'max'; got metric = None, mode = None",
        ),
    ],
)
def test_a_module_that_cannot_be_loaded_is_a_task_error_with_its_traceback(text, told, tmp_path):
    with pytest.raises(TaskError) as error:
        load_task(written(tmp_path, text) + ":Flowers")
    assert told in str(error.value)
    if not told.startswith("expected") and "Flowers:" not in told:
        assert told.partition(":")[0] in error.value.traceback


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ("None", "Flowers.data: expected (train, valid); got NoneType"),
        ("XY, (XY[0][:0], XY[1][:0])", "Flowers.data: valid: expected some examples; there are none"),
        ("(XY[0], XY[1][:5]), XY", "train: expected inputs and targets of one length; got tensors of shape (8, 3) and (5,)"),
        (
            "(XY[0].numpy(), XY[1].numpy()), XY",
            "train: expected (inputs, targets) tensors, or a data set with items (input, target); item 0 of tuple is ndarray",
        ),
        ("iter([]), XY", "train: expected (inputs, targets) tensors or a map-style data set; got list_iterator"),
        ("[(1, 2, 3)], XY", "item 0 of list is tuple"),
        ("[], XY", "train: expected some examples; there are none"),
        ("1 / 0", "Flowers.data: ZeroDivisionError: division by zero"),
        ("torch.utils.data.TensorDataset(*XY), {}[0]", "Flowers.data: KeyError: 0"),
    ],
)
def test_data_of_the_wrong_kind_is_said(data, told, tmp_path):
    task = load_task(written(tmp_path, WHOLE.replace("return XY, XY", f"return {data}")) + ":Flowers")
    with pytest.raises(TaskError) as error:
        sizes(task)
    assert told in str(error.value) and str(error.value).startswith("Flowers.data: ") and str(error.value).count(".data") == 1


def test_no_data_and_no_model(tmp_path):
    spec = written(tmp_path, BEGIN + "class Bare(Task):\n    metric, mode = 'accuracy', 'max'\n") + ":Bare"
    with pytest.raises(TaskError, match=r"Bare needs a method data\(self\) that returns \(train, valid\)"):
        sizes(load_task(spec))


@pytest.mark.parametrize("inputs", ["torch.rand(8, 3)", "torch.randint(0, 255, (8, 3), dtype=torch.uint8)"])
@pytest.mark.parametrize(
    "targets",
    [
        "torch.arange(8) % 2",
        "(torch.arange(8) % 2).int()",
        "(torch.arange(8) % 2).byte()",
        "torch.rand(8, 2)",
        "torch.rand(8, 2).double()",
    ],
)
def test_inputs_and_targets_of_many_types(inputs, targets, tmp_path):
    text = BEGIN + (
        f"XY = {inputs}, {targets}\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n        super().__init__(); self.head = nn.Linear(3, 2)\n"
        "    def forward(self, x): return self.head(x.float() / 255)\n"
        "class Flowers(Task):\n"
        "    def data(self): return XY, torch.utils.data.TensorDataset(*XY)\n"
        "    def model(self): return Net()\n"
    )
    assert trained(load_task(written(tmp_path, text) + ":Flowers"))


def test_outputs_in_parts_reach_loss_and_metrics_in_parts(tmp_path):
    text = BEGIN + (
        "class Two(nn.Module):\n"
        "    def __init__(self):\n        super().__init__(); self.a, self.b = nn.Linear(3, 2), nn.Linear(3, 1)\n"
        "    def forward(self, x, y): return {'a': self.a(x), 'rest': (self.b(y), x)}\n"
        "class Flowers(Task):\n"
        "    metric, mode = 'agree', 'max'\n"
        "    def data(self):\n        half = [((x, 2 * x), y) for x, y in zip(*XY)] * 100\n        return half, half\n"
        "    def model(self): return Two()\n"
        "    def loss(self, outputs, targets):\n"
        "        return nn.functional.cross_entropy(outputs['a'], targets) + outputs['rest'][0].mean()\n"
        "    def metrics(self, outputs, targets):\n"
        "        assert len(outputs['a']) == len(outputs['rest'][0]) == len(outputs['rest'][1]) == len(targets) == 800\n"
        "        return {'agree': (outputs['a'].argmax(1) == targets).double().mean()}\n"
    )
    assert 0 <= trained(load_task(written(tmp_path, text) + ":Flowers"))["agree"] <= 1


SENTENCES = BEGIN + (
    "class Reader(nn.Module):\n"
    "    def __init__(self):\n        super().__init__(); self.words, self.head = nn.Embedding(9, 4), nn.Linear(4, 2)\n"
    "    def forward(self, words, length): return self.head(self.words(words).sum(1) / length[:, None])\n"
    "def sentence(i): return torch.arange(1 + i % 5) + 1\n"
    "class Flowers(Task):\n"
    "    def data(self):\n"
    "        half = [(sentence(i), {'kind': i % 2, 'more': i}) for i in range(25)]\n"
    "        return half, half\n"
    "    def model(self): return Reader()\n"
    "    def collate(self, items):\n"
    "        words, targets = zip(*items)\n"
    "        padded = nn.utils.rnn.pad_sequence(words, batch_first=True)\n"
    "        return (padded, torch.tensor([len(each) for each in words])), torch.utils.data.default_collate(targets)\n"
    "    metric, mode = 'right', 'max'\n"
    "    def loss(self, outputs, targets): return nn.functional.cross_entropy(outputs, targets['kind'])\n"
    "    def metrics(self, outputs, targets): return {'right': (outputs.argmax(1) == targets['kind']).double().mean()}\n"
)


def test_items_of_many_lengths_are_collated_as_the_task_says(tmp_path):
    task = load_task(written(tmp_path, SENTENCES) + ":Flowers")
    training = task.trainable(PLAN, "cpu")
    assert 0 <= training.evaluate()["right"] <= 1
    sentences, targets = task.task.collate(task.task.data()[1])
    with torch.no_grad():
        assert training.evaluate()["val_loss"] == pytest.approx(float(task.task.loss(training.model(*sentences), targets)))
    with pytest.raises(TaskError, match=r"^collate: expected \(inputs, targets\); got list$"):
        Split(task.task.data()[0], "cpu", collate=lambda items: [1, 2, 3]).take(torch.tensor([0]))
    pieces = task.trainable(PLAN.but(recipe=Recipe(accumulate=3)), "cpu")
    assert pieces.train(3, 0.1) == pytest.approx(training.train(3, 0.1), rel=1e-4)


def test_what_cannot_be_joined_says_what_to_do(tmp_path):
    text = SENTENCES.replace("self.head(self.words(words).sum(1) / length[:, None])", "self.words(words)")
    text = text.replace("cross_entropy(outputs, targets['kind'])", "mse_loss(outputs, outputs + 1)")
    text = text.replace("range(25)", "range(2)").replace("half, half", "half, half * 256 + half[:1]")
    with pytest.raises(TaskError, match="^metrics: the batches .* cannot be joined: .*set metrics to a torchmetrics metric"):
        load_task(written(tmp_path, text) + ":Flowers").trainable(PLAN, "cpu").evaluate()


def test_a_single_torchmetric_has_the_metric_s_name(tmp_path):
    text = WHOLE.replace(
        "    def data",
        "    from torchmetrics.classification import MulticlassRecall\n    metrics = MulticlassRecall(2)\n    def data",
    )
    assert "accuracy" in trained(load_task(written(tmp_path, text) + ":Flowers"))


def test_validation_loss_is_the_mean_over_the_examples_not_over_the_batches():
    task = workload("Rare")
    trainable = task.trainable(PLAN, "cpu")
    inputs, targets = task.task.data()[1]
    with torch.no_grad():
        loss = float(task.task.loss(trainable.model(inputs), targets))
    assert trainable.evaluate()["val_loss"] == pytest.approx(loss, rel=1e-6)


def test_what_a_task_draws_for_its_data_is_the_same_in_every_process(tmp_path):
    text = WHOLE.replace("XY = ", "import random\nimport numpy as np\nNOISE = np.random.rand(8)\nXY = ").replace(
        "return XY, XY", "return XY, (XY[0] + random.random() + np.random.permutation(NOISE)[:, None], XY[1])"
    )
    drawn = []
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
        np.random.seed(None), random.seed(None), torch.seed()
        spec = written(tmp_path / place, text) + ":Flowers"
        drawn.append(load_task(spec).splits("cpu")[1].take(torch.arange(8)))
    assert same(*drawn)


def test_a_loss_that_is_made_with_the_task_is_its_own(tmp_path):
    text = WHOLE + "    def __init__(self): self.loss = nn.CrossEntropyLoss()\n"
    assert load_task(written(tmp_path, text) + ":Flowers").trainable(PLAN, "cpu").own == {"loss"}


def test_a_custom_class_gets_what_it_names_and_is_seeded(tmp_path):
    text = BEGIN + (
        "class Own(Trainable):\n"
        "    metric, mode = 'error', 'min'\n"
        "    def __init__(self, plan, momentum, optimizer, batch_size=3, *, seed, device, other=5):\n"
        "        self.got = (plan.steps, momentum, optimizer, batch_size, seed, device, other)\n"
        "        self.weights = torch.rand(3)\n"
        "    def train(self, steps, lr): return 0.0\n"
        "    def evaluate(self): return {'error': 0.0}\n"
        "    def state(self): return {}\n"
        "    def restore(self, state): pass\n"
    )
    task = load_task(written(tmp_path, text) + ":Own")
    assert task.target == Metric(name="error", mode="min")
    one, other = task.trainable(PLAN, "cpu"), task.trainable(PLAN, "cpu")
    assert one.got == (6, 0.9, "sgd", 4, 0, "cpu", 5) and torch.equal(one.weights, other.weights)
    with pytest.raises(InputError, match="finish: expected a Task"):
        task.trainable(PLAN.but(finish=Fold(index=0, of=2)), "cpu")


def test_a_user_s_task_is_tuned_like_any_other(tmp_path):
    assert completed(train("Words", PLAN, tmp_path)) and points(train("Words", PLAN, tmp_path))
