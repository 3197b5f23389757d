"""What does a loop of one's own need to be told? A Python file: the rate as a function of the step, an optimizer, a scheduler."""

from reports.export.parts import left
from reports.export.phases import Unsayable
from studies.plan import Plan, Segment

SUFFIX = ".py"
USE = (
    "For a loop of your own:",
    "",
    "    from {module} import BATCH_SIZE, STEPS, make_optimizer, make_scheduler",
    "",
    "    optimizer = make_optimizer(model.parameters())",
    "    scheduler = make_scheduler(optimizer)",
    "    for step in range(STEPS):  # batches of BATCH_SIZE examples",
    "        optimizer.zero_grad()",
    "        loss(...).backward()",
    "        optimizer.step()",
    "        scheduler.step()",
)

OPTIMIZERS = {
    "sgd": "torch.optim.SGD({parameters}, lr=1.0{decay}, momentum={m})",
    "nesterov": "torch.optim.SGD({parameters}, lr=1.0{decay}, momentum={m}, nesterov={n})",
    "adam": "torch.optim.Adam({parameters}, lr=1.0{decay}, betas=({m}, 0.999))",
    "adamw": "torch.optim.AdamW({parameters}, lr=1.0{decay}, betas=({m}, 0.999))",
    "nadam": "torch.optim.NAdam({parameters}, lr=1.0{decay}, betas=({m}, 0.999))",
    "rmsprop": "torch.optim.RMSprop({parameters}, lr=1.0{decay}, momentum={m})",
    "adagrad": "torch.optim.Adagrad({parameters}, lr=1.0{decay})",
    "lars": "timm.optim.Lars({parameters}, lr=1.0{decay}, momentum={m}, always_adapt=True)",
}

RATES = {
    "constant": "{lr}",
    "warmup": "{start} + ({lr} - {start}) * min(1.0, (step + 1) / {over})",
    "linear": "{lr} + ({end} - {lr}) * min(1.0, step / {over})",
    "exponential": "{lr} * {factor} ** (step // {interval} + 1)",
    "cosine": "{end} + ({lr} - {end}) * 0.5 * (1 + math.cos(math.pi * min(1.0, step / {over})))",
    "sqrt": "{end} + ({lr} - {end}) * (1 - math.sqrt(min(1.0, step / {over})))",
}
"""The rate of a segment's step, operation for operation as studies.schedule has it."""

FILE = '''\
import math

{imports}

STEPS = {steps}
BATCH_SIZE = {batch_size}
SEED = {seed}


def rate(step: int) -> float:
    """The learning rate of update number `step`, from 0."""
{rate}

def make_optimizer(parameters) -> torch.optim.Optimizer:
    """Its rate is a factor; the scheduler sets it."""
{groups}    return {optimizer}


def make_scheduler(optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
    """To be stepped after every optimizer.step()."""
    return torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
'''

GROUPS = """\
    parameters = list(parameters)
    spared = {"params": [each for each in parameters if each.ndim < 2], "weight_decay": 0.0}  # biases and norms
    groups = [{"params": [each for each in parameters if each.ndim >= 2]}, spared]
"""


def written(plan: Plan, examples: int | None) -> tuple[str, tuple[str, ...]]:
    """The file; of the recipe it has the weight decay. Raises: Unsayable."""
    notes = left(plan, "this loop", ("weight_decay",))
    if plan.optimizer not in OPTIMIZERS:
        raise Unsayable(f"PyTorch has no optimizer {plan.optimizer!r}")
    decay = plan.recipe.weight_decay
    spared = decay is not None and not decay.biases_and_norms
    optimizer = OPTIMIZERS[plan.optimizer].format(
        parameters="groups" if spared else "parameters",
        decay=f", weight_decay={decay.rate if decay else 0.0}" if decay or plan.optimizer == "adamw" else "",
        m=plan.momentum,
        n=plan.momentum > 0,
    )
    facts = {"steps": plan.steps, "batch_size": plan.batch_size, "seed": plan.seed}
    imports = "import timm.optim\nimport torch" if optimizer.startswith("timm") else "import torch"
    text = FILE.format(imports=imports, **facts, rate=_rate(plan), groups=GROUPS if spared else "", optimizer=optimizer)
    return text, notes


def _rate(plan: Plan) -> str:
    """The body of the function: one return a segment."""
    lines, begin = [], 0
    for number, segment in enumerate(plan.segments, 1):
        last = number == len(plan.segments)
        if not last:
            lines.append(f"    if step < {begin + segment.steps}:\n")
        lines += [f"{'    ' if last else '        '}{line}\n" for line in _returned(segment, begin)]
        begin += segment.steps
    return "".join(lines)


def _returned(segment: Segment, begin: int) -> list[str]:
    """Lines that return the rate of a step of the path, if it is in this segment."""
    rate, lines = segment.rate, []
    if rate.shape not in RATES:
        raise Unsayable(f"there are no words for the rate's shape {rate.shape!r}")
    if begin and rate.shape != "constant":
        lines.append(f"step -= {begin}")
    if rate.interval > 1 and rate.shape != "exponential":
        lines.append(f"step = step // {rate.interval} * {rate.interval}  # computed anew every {rate.interval} steps")
    return [*lines, f"return {RATES[rate.shape].format(**rate.model_dump())}"]
