"""How are many models trained as one? In lockstep on the same batches, their parameters stacked, each at its own rate.

One batched model (torch.func.vmap) replaces many small ones, as HFTA does (Wang et al. 2021, arXiv:2102.02344). Lanes are
independent of one another: one that diverges or leaves changes nothing for the others, and on a CPU not a bit of a lane
depends on its company. They agree with training alone up to rounding.
"""

import math
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import median
from typing import Any

import torch
from torch import nn
from torch.func import vmap
from torch.utils._pytree import tree_map

from trainables.measuring import Tally, checked_loss
from trainables.recipe import augment, mixing
from trainables.rules import RULES, Rule
from trainables.supervised import RATIO_EVERY, Supervised, call

TRIED_STEPS = 3
"""Steps over which fused and plain training are compared, and as many over which they are timed."""

CLEARLY = 1.2
"""Fused training must be so many times faster: what is a little more or less is another number on the next machine."""

AGREEMENT = 1e-4
"""Relative difference of losses up to which two trainings are the same but for rounding."""

ALIKE = 0.1
"""Relative difference of gradients from which on it is not rounding: small losses hide that a parameter gets none."""

FUSIBLE = {"dropout", "init", "clip", "noise", *augment.IMAGES, *mixing.BLENDS, *mixing.SOFT}
"""Parts of a recipe that are done by the time when a batch goes through the models, or by the models, or here."""

# A probe measures whether what torch batches slowly pays all the same; nobody need file an issue.
warnings.filterwarnings("ignore", "There is a performance drop", UserWarning)


class Fused:
    """Several trainings at one step of their plans, of one task, batch size, seed, device and optimizer.

    The lanes stay what they are: their parameters, buffers and what their optimizers keep become views into the stacked ones, so
    that each can be saved, evaluated or trained alone at any time. They must not be restored while they are fused.

    lanes: see `hindrance` for what can be fused.
    """

    def __init__(self, lanes: Sequence[Supervised]):
        self.lanes = list(lanes)
        # On a CPU one by itself has a double: products with a single matrix round otherwise.
        rows = [*lanes, *lanes] if len(lanes) == 1 and lanes[0].device == "cpu" else lanes
        self._skeleton, self._rule = lanes[0].model, _rule(lanes[0])
        self._places = list(_places(self._skeleton))
        models, self._count = [dict(lane.model.named_parameters()) for lane in rows], len(rows)
        with torch.no_grad():
            self._parameters = torch.stack([_flat(model.values()) for model in models])  # (lanes, parameters)
            self._kept = [  # each as the parameters
                torch.stack([_flat(_kept(lane, parameter, name) for parameter in lane.model.parameters()) for lane in rows])
                for name in self._rule.keeps
            ]
            self._buffers = {
                name: torch.stack([dict(lane.model.named_buffers())[name] for lane in rows])
                for name, _ in self._skeleton.named_buffers()
            }
        sizes = [parameter.numel() for parameter in models[0].values()]
        views = zip(models[0].items(), *(matrix.split(sizes, 1) for matrix in (self._parameters, *self._kept)))
        self._stacked = {}
        for (name, parameter), *columns in views:
            stacks = [column.view(self._count, *parameter.shape) for column in columns]
            self._stacked[name] = stacks[0]
            for lane, model, value, *kept in zip(lanes, models, *stacks):
                _share(lane, model[name], value, kept)
        for place, lane in enumerate(lanes):
            for name, buffer in lane.model.named_buffers():
                buffer.data = self._buffers[name][place]
        self._tallies, self._looked = dict[int, Tally](), -1
        self._momentum = self._column([lane.plan.momentum for lane in rows])

    def train(self, steps: int, rates: Sequence[float]) -> list[float]:
        """Do so many updates, each lane at its rate; the mean loss of each."""
        for lane in self.lanes:
            lane.model.train()
        rate, total = self._column([*rates, *rates][: self._count]), 0.0
        for _ in range(steps):
            total = total + self._update(rate).double()
            for lane in self.lanes:
                lane.step += 1
        if self._rule.counts:
            for lane in self.lanes:
                for kept in lane.optimizer.state.values():
                    kept["step"] = torch.tensor(float(lane.step))
        return (total / steps).tolist()[: len(self.lanes)]

    def evaluate(self, place: int) -> dict[str, float]:
        """What is measured of the lane in this place; the first who asks where they stand has all of them looked at."""
        lane = self.lanes[place]
        if self._looked != lane.step or place not in self._tallies:
            self._skeleton.eval()
            self._tallies, self._looked = dict(enumerate(self.lanes[0].tallies(self._say, len(self.lanes)))), lane.step
        return {**self._tallies.pop(place).told(), "update_ratio": float(lane.ratio)}

    def glance(self) -> list[float]:
        """What each lane loses on some of the validation set."""
        self._skeleton.eval()
        return self.lanes[0].glance(self._say)

    def part(self) -> list[Supervised]:
        """The lanes, each on its own again; some of them can be fused anew."""
        for lane in self.lanes:
            _part(lane)
        return self.lanes

    def _update(self, rate: torch.Tensor) -> torch.Tensor:
        """One step on all lanes; their losses, shape (lanes,)."""
        inputs, targets = self.lanes[0].batch()
        leaves = {name: value.detach().requires_grad_() for name, value in self._stacked.items()}
        each = vmap(self._loss, in_dims=(0, 0, None, None), randomness="same")  # kept, it would keep all this from being freed
        losses, buffers = each(leaves, self._buffers, inputs, targets)
        # No lane's gradient depends on another's loss; a parameter that is not used has none.
        gradients = torch.autograd.grad(losses.sum(), list(leaves.values()), materialize_grads=True)
        measured = self.lanes[0].step % RATIO_EVERY == 0
        with torch.no_grad():
            before = self._parameters.clone() if measured else self._parameters
            flat = torch.cat([gradient.reshape(self._count, -1) for gradient in gradients], 1)
            if clip := self.lanes[0].plan.recipe.clip:
                flat.mul_((clip.norm / (flat.norm(dim=1, keepdim=True) + 1e-6)).clamp_max(1.0))  # as torch's clip_grad_norm_
            self._rule.step(self._parameters, flat, self._kept, rate, self._momentum, self.lanes[0].step + 1)
            for name, value in buffers.items():
                self._buffers[name].copy_(value)
            if measured:
                ratios = (self._parameters - before).norm(dim=1) / before.norm(dim=1).clamp_min(1e-12)
                for lane, ratio in zip(self.lanes, ratios):
                    lane.ratio = ratio
        return losses.detach()

    def _loss(self, parameters: dict, buffers: dict, inputs: Any, targets: Any) -> tuple[torch.Tensor, dict]:
        """One lane's loss, and its buffers afterwards."""
        state = {**parameters, **buffers}
        with self._in_place(state):
            outputs = call(self._skeleton, inputs)
            state |= {name: table[key] for name, table, key in self._places}  # a buffer may be another tensor now
        return checked_loss(self.lanes[0].loss(outputs, targets)), {name: state[name].detach() for name in buffers}

    def _outputs(self, parameters: dict, buffers: dict, inputs: Any) -> Any:
        """What one lane says."""
        with self._in_place({**parameters, **buffers}):
            return call(self._skeleton, inputs)

    @contextmanager
    def _in_place(self, state: Mapping[str, torch.Tensor]) -> Iterator[None]:
        """Within it the skeleton has these parameters and buffers.

        What torch.func.functional_call does, but for finding out anew at every step where the tensors lie: a twelfth of it.
        """
        own = [table[key] for _, table, key in self._places]
        try:
            for name, table, key in self._places:
                table[key] = state[name]
            yield
        finally:
            for (_, table, key), tensor in zip(self._places, own):
                table[key] = tensor

    def _say(self, inputs: Any) -> list[Any]:
        """What each lane says of them."""
        fast = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)  # torch's shortcut for transformers cannot be batched
        try:
            outputs = vmap(self._outputs, in_dims=(0, 0, None), randomness="same")(self._stacked, self._buffers, inputs)
        finally:
            torch.backends.mha.set_fastpath_enabled(fast)
        return [tree_map(lambda part, place=place: part[place], outputs) for place in range(len(self.lanes))]

    def _column(self, values: Sequence[float]) -> torch.Tensor:
        return torch.tensor(values, dtype=self._parameters.dtype, device=self._parameters.device).unsqueeze(1)


def _places(model: nn.Module) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Where a model looks its parameters and buffers up: (name, table, key); what modules share lies in several places."""
    names = {id(tensor): name for name, tensor in (*model.named_parameters(), *model.named_buffers())}
    for module in model.modules():
        for table in (module._parameters, module._buffers):
            yield from ((names[id(tensor)], table, key) for key, tensor in table.items() if tensor is not None)


def _flat(tensors: Any) -> torch.Tensor:
    return torch.cat([tensor.detach().reshape(-1) for tensor in tensors])


def _rule(lane: Supervised) -> Rule:
    return RULES[lane.plan.optimizer]


def _kept(lane: Supervised, parameter: nn.Parameter, name: str) -> torch.Tensor:
    """What the optimizer keeps of a parameter by this name; zeros before it has."""
    kept = lane.optimizer.state.get(parameter, {}).get(name)
    return torch.zeros_like(parameter) if kept is None else kept


def _pull(lane: Supervised, parameter: nn.Parameter) -> torch.Tensor:
    """The mean of the gradients of one that is trained by itself, or where it has none, the last one; flat."""
    if _rule(lane).keeps_for(lane.plan):
        return _kept(lane, parameter, _rule(lane).keeps[0]).detach().reshape(-1).clone()
    return torch.zeros_like(parameter).reshape(-1) if parameter.grad is None else parameter.grad.reshape(-1).clone()


def _share(lane: Supervised, parameter: nn.Parameter, value: torch.Tensor, kept: Iterable[torch.Tensor]) -> None:
    """Have a lane's parameter, and what its optimizer keeps of it, lie in these tensors."""
    parameter.data, parameter.grad = value, None
    if _rule(lane).keeps_for(lane.plan):
        lane.optimizer.state[parameter].update(zip(_rule(lane).keeps, kept))


def _part(lane: Supervised) -> None:
    """Have a lane's tensors lie in memory of their own again."""
    for parameter in lane.model.parameters():
        kept = [_kept(lane, parameter, name).clone() for name in _rule(lane).keeps]
        _share(lane, parameter, parameter.data.clone(), kept)
    for buffer in lane.model.buffers():
        buffer.data = buffer.data.clone()


def hindrance(lanes: Sequence[Supervised]) -> str:
    """Why these cannot be fused; "" if nothing is known to stand in the way."""
    first = lanes[0]
    if not isinstance(first, Supervised):
        return "only a Task's can be"
    if any((lane.task, lane.step, lane.device) != (first.task, first.step, first.device) for lane in lanes):
        return "they are not at one step of one task"
    alike = {(lane.plan.batch_size, lane.plan.seed, lane.plan.recipe) for lane in lanes}
    optimizers = {lane.plan.optimizers for lane in lanes}
    if len(alike) > 1 or optimizers.isdisjoint((name,) for name in RULES) or len(optimizers) > 1 or "optimizer" in first.own:
        return f"only one of {', '.join(RULES)}, at one batch size and seed, with one recipe, can be"
    if any(lane.plan.finish for lane in lanes):
        return "what is done with a winner at last is done to one model at a time"
    for name, _ in first.plan.recipe.parts():
        if name not in FUSIBLE:
            return f"{name} in the recipe is done to one model at a time"
    parameters = list(first.model.parameters())
    if not all(parameter.requires_grad and parameter.dtype == torch.float32 for parameter in parameters):
        return "only models all of whose parameters are trained, in single precision, can be"
    return ""


def fused_from(lanes: Sequence[Supervised], always: bool = False) -> tuple[float, str]:
    """How many lanes it takes for fused training to pay, by a short trial of these, and what was found, in words.

    Infinity if not even all of them are enough, or if it is not the same training; 1 if that is all that is asked. The
    lanes have been trained afterwards, and are of no more use.
    """
    try:
        why = hindrance(lanes) or _difference(lanes)
        if why or always:
            return (math.inf, why) if why else (1, "fused")
        return _gain(lanes)
    except Exception as error:  # whatever torch.func or the task's own code says to being batched
        return math.inf, f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


def _difference(lanes: Sequence[Supervised]) -> str:
    """What is not the same in company as alone; "" if nothing.

    Some of torch's functions draw in the order of the memory, and a batched model's is another. On a CPU a lane's numbers must
    not depend on its company at all, so that a cohort may be another when a run is resumed.
    """
    one = min(lanes, key=lambda lane: lane.plan.lr)  # it will not diverge
    begun, rate = one.state(), one.plan.at(0)
    company = Fused(lanes)
    company.train(TRIED_STEPS, [lane.plan.at(lane.step) for lane in lanes])
    told_in_company = company.glance()[company.lanes.index(one)]
    company.part()
    in_company = _flat(one.model.parameters())
    lanes[0].train(1, 0.0)  # raises where its model has kept something of the batched one
    one.restore(begun)
    loss = one.train(TRIED_STEPS, rate)
    pulls = [_pull(one, parameter) for parameter in one.model.parameters()]
    one.restore(begun)
    single = Fused([one])
    single_loss = single.train(TRIED_STEPS, [rate])[0]
    batched = single._kept[0][0].split([pull.numel() for pull in pulls])
    told = one.glance(lambda inputs: [call(one.model.eval(), inputs)])[0], single.glance()[0]
    by_itself = _flat(one.model.parameters())
    single.part()
    if not abs(single_loss - loss) <= AGREEMENT * abs(loss):
        return f"the loss would differ by {abs(single_loss - loss) / abs(loss):.0e} of it"
    least = AGREEMENT * _flat(pulls).norm()
    if not all((mine - pull).norm() <= ALIKE * pull.norm() + least for mine, pull in zip(batched, pulls)):
        return "a gradient would be another one: the model finds parameters where they were, not where they are"
    if not abs(told[1] - told[0]) <= AGREEMENT * abs(told[0]):
        return "it would be another val_loss"
    bound = 0 if one.device == "cpu" else AGREEMENT
    trained_so = (in_company - by_itself).norm() <= bound * by_itself.norm()
    seen_so = abs(told_in_company - told[1]) <= bound * abs(told[1])
    return "" if trained_so and seen_so else "a training would depend on its company"


def _gain(lanes: Sequence[Supervised]) -> tuple[float, str]:
    """From how many lanes on fused training is clearly faster; what a step takes grows evenly with their number."""
    rates = [0.0 for _ in lanes]
    alone = _seconds(lambda: lanes[0].train(1, 0.0))
    single = Fused(lanes[:1])
    one = _seconds(lambda: single.train(1, rates[:1]))
    single.part()
    company = Fused(lanes)
    together = _seconds(lambda: company.train(1, rates))
    each = (together - one) / max(1, len(lanes) - 2)  # one has a double
    words = f"{len(lanes)} fused train {len(lanes) * alone / together:.1f} times as fast as one after another"
    pays = [n for n in range(2, len(lanes) + 1) if n * alone >= CLEARLY * (one + (n - 2) * each)]
    return (pays[0] if pays else math.inf), words


def _seconds(work: Callable[[], Any]) -> float:
    """The median of some repetitions."""
    took = []
    for _ in range(TRIED_STEPS):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return median(took)
