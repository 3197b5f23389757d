"""How are many models trained as one? In lockstep on the same batches, their parameters stacked, each at its own rate.

One batched model (torch.func.vmap) replaces many small ones, as HFTA does (Wang et al. 2021, arXiv:2102.02344). Lanes are
independent of one another: one that diverges or leaves changes nothing for the others, and on a CPU not a bit of a lane
depends on its company. They agree with training alone up to rounding.
"""

import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from statistics import median
from typing import Any

import torch
from torch import nn
from torch.func import vmap
from torch.utils._pytree import tree_leaves, tree_map

from trainables.measuring import Tally, checked_loss
from trainables.recipe import augment, mixing
from trainables.rules import RULED, Rule, rules_of
from trainables.supervised import RATIO_EVERY, Supervised, call

TRIED_STEPS = 3
"""Steps over which fused and plain training are compared, and as many over which they are timed."""

CLEARLY = 1.2
"""Fused training must be so many times faster: what is a little more or less is another number on the next machine."""

AGREEMENT = 1e-4
"""Relative difference of losses up to which two trainings are the same but for rounding."""

ALIKE = 0.1
"""Relative difference of gradients from which on it is not rounding: small losses hide that a parameter gets none."""

FUSIBLE = {
    *("dropout", "init", "freeze", "clip", "l1", "weight_decay", "layer_rates", "layer_decay", "noise"),
    *(*augment.IMAGES, *mixing.BLENDS, *mixing.SOFT),
}
"""Parts of a recipe that are done by the time when a batch goes through the models, or by the models, or here."""

# A probe measures whether what torch batches slowly pays all the same; nobody need file an issue.
warnings.filterwarnings("ignore", "There is a performance drop", UserWarning)


@dataclass(frozen=True)
class Group:
    """Parameters that step by one rule: their columns in the matrices. momentum: of each lane, shape (lanes, 1)."""

    rule: Rule
    columns: slice
    momentum: torch.Tensor


class Fused:
    """Several trainings at one step of their plans, of one task, batch size, seed, device and optimizer.

    The lanes stay what they are: their parameters, buffers and what their optimizers keep become views into the stacked ones, so
    that each can be saved, evaluated or trained alone at any time. They must not be restored while they are fused. What is frozen
    is the same in all of them, and computed once for all.

    lanes: see `hindrance` for what can be fused.

    Raises: ValueError if they cannot.
    """

    def __init__(self, lanes: Sequence[Supervised]):
        if why := hindrance(lanes):
            raise ValueError(why)
        self.lanes = list(lanes)
        # On a CPU one by itself has a double: products with a single matrix round otherwise.
        rows = [*lanes, *lanes] if len(lanes) == 1 and lanes[0].device == "cpu" else lanes
        self._skeleton, self._count, rules = lanes[0].model, len(rows), _rules(lanes)
        models = [{name: value for group in _groups(lane) for name, value in group.items()} for lane in rows]
        buffers, shared = [dict(lane.model.named_buffers()) for lane in rows], _shared(lanes)
        self._dims = {name: None if name in shared else 0 for name in buffers[0]}
        with torch.no_grad():
            self._parameters = torch.stack([_flat(model.values()) for model in models])  # (lanes, parameters)
            self._kept = [torch.stack([_flat(_kept(lane, key)) for lane in rows]) for key in rules[0].keeps]
            stacked = {name: torch.stack([found[name] for found in buffers]) for name in buffers[0]}
            self._buffers = {name: stack[0] if name in shared else stack for name, stack in stacked.items()}
        sizes = [parameter.numel() for parameter in models[0].values()]
        columns = zip(models[0].items(), *(matrix.split(sizes, 1) for matrix in (self._parameters, *self._kept)))
        self._stacks = {name: [part.view(self._count, *value.shape) for part in parts] for (name, value), *parts in columns}
        self._groups = list(self._grouped(rules, rows))
        for place, lane in enumerate(lanes):
            _share(lane, {name: [stack[place] for stack in stacks] for name, stacks in self._stacks.items()})
            for name, buffer in buffers[place].items():
                buffer.data = self._buffers[name] if name in shared else self._buffers[name][place]
        self._places = list(_places(self._skeleton, {**models[0], **buffers[0]}))
        self._frozen = _flat([self._parameters.new_zeros(1), *_frozen(lanes[0])]).norm()
        self._tallies, self._looked = dict[int, Tally](), -1

    def _grouped(self, rules: Sequence[Rule], rows: Sequence[Supervised]) -> Iterator[Group]:
        begin = 0
        for place, (rule, parameters) in enumerate(zip(rules, _groups(rows[0]))):
            end = begin + sum(parameter.numel() for parameter in parameters.values())
            momenta = [rule.momentum(lane.optimizer.param_groups[place]) for lane in rows]
            yield Group(rule, slice(begin, end), self._column(momenta))
            begin = end

    def train(self, steps: int, rates: Sequence[float]) -> list[float]:
        """Do so many updates, each lane at its rate; the mean loss of each."""
        self.lanes[0].wake()
        rates, total = [*rates, *rates][: self._count], 0.0
        shared = [self._column([rate * group.rule.share for rate in rates]) for group in self._groups]
        for _ in range(steps):
            total = total + self._update(shared).double()
            for lane in self.lanes:
                lane.step += 1
        if self._groups[0].rule.counts:
            for lane in self.lanes:
                for kept in lane.optimizer.state.values():
                    kept["step"].fill_(lane.step)
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

    def _update(self, rates: Sequence[torch.Tensor]) -> torch.Tensor:
        """One step on all lanes, at these rates of each group, shape (lanes, 1); the losses, shape (lanes,)."""
        losses, gradients, unused, buffers = self.gradients()
        measured, number = self.lanes[0].step % RATIO_EVERY == 0, self.lanes[0].step + 1
        with torch.no_grad():
            before = self._parameters.clone() if measured else self._parameters
            passed_over = [(stack, stack.clone()) for name in unused for stack in self._stacks[name]]
            for group, rate in zip(self._groups, rates):
                own, pull, *kept = (matrix[:, group.columns] for matrix in (self._parameters, gradients, *self._kept))
                group.rule.step(own, pull, kept, rate, group.momentum, number)
            for stack, was in passed_over:
                stack.copy_(was)
            for name, value in buffers.items():
                self._buffers[name].copy_(value)
            if measured:
                there = torch.hypot(before.norm(dim=1), self._frozen).clamp_min(1e-12)
                for lane, ratio in zip(self.lanes, (self._parameters - before).norm(dim=1) / there):
                    lane.ratio = ratio
        return losses

    def gradients(self) -> tuple[torch.Tensor, torch.Tensor, list[str], dict[str, torch.Tensor]]:
        """Those of the next step: the losses, shape (lanes,), the gradients, shape (lanes, parameters), the names of the
        parameters that have none, and the buffers afterwards."""
        inputs, targets = self.lanes[0].batch()
        recipe = self.lanes[0].plan.recipe
        leaves = {name: value.detach().requires_grad_() for name, (value, *_) in self._stacks.items()}
        how = {"in_dims": (0, self._dims, None, None), "out_dims": (0, self._dims), "randomness": "same"}
        each = vmap(self._loss, **how)  # kept, it would keep all this from being freed
        losses, buffers = each(leaves, self._buffers, inputs, targets)
        # No lane's gradient depends on another's loss.
        found = torch.autograd.grad(losses.sum(), list(leaves.values()), allow_unused=True)
        with torch.no_grad():
            if recipe.l1:
                shrinking = (recipe.l1.rate * leaf.sign() for leaf in leaves.values())
                found = [pull if pull is None else pull + more for pull, more in zip(found, shrinking)]
            whole = (torch.zeros_like(leaf) if pull is None else pull for leaf, pull in zip(leaves.values(), found))
            flat = torch.cat([pull.reshape(self._count, -1) for pull in whole], 1)
            if recipe.clip:
                flat.mul_((recipe.clip.norm / (flat.norm(dim=1, keepdim=True) + 1e-6)).clamp_max(1.0))  # torch's clip_grad_norm_
        return losses.detach(), flat, [name for name, pull in zip(leaves, found) if pull is None], buffers

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
            parameters = {name: value for name, (value, *_) in self._stacks.items()}
            each = vmap(self._outputs, in_dims=(0, self._dims, None), randomness="same")
            outputs = each(parameters, self._buffers, inputs)
        finally:
            torch.backends.mha.set_fastpath_enabled(fast)
        return [tree_map(lambda part, place=place: part[place], outputs) for place in range(len(self.lanes))]

    def _column(self, values: Sequence[float]) -> torch.Tensor:
        return torch.tensor(values, dtype=self._parameters.dtype, device=self._parameters.device).unsqueeze(1)


def _places(model: nn.Module, tensors: Mapping[str, torch.Tensor]) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Where a model looks these of its tensors up: (name, table, key); what modules share lies in several places."""
    names = {id(tensor): name for name, tensor in tensors.items()}
    for module in model.modules():
        for table in (module._parameters, module._buffers):
            yield from ((names[id(tensor)], table, key) for key, tensor in table.items() if id(tensor) in names)


def _flat(tensors: Any) -> torch.Tensor:
    return torch.cat([tensor.detach().reshape(-1) for tensor in tensors])


def _rules(lanes: Sequence[Supervised]) -> list[Rule]:
    return rules_of([lane.optimizer for lane in lanes], [lane.shares for lane in lanes])


def _groups(lane: Supervised) -> list[dict[str, nn.Parameter]]:
    """The parameters that its optimizer trains, by name, group by group; "" is the name of what the model has not."""
    names = {parameter: name for name, parameter in lane.model.named_parameters()}
    groups = (group["params"] for group in lane.optimizer.param_groups)
    return [{names.get(parameter, ""): parameter for parameter in group if parameter.requires_grad} for group in groups]


def _frozen(lane: Supervised) -> list[nn.Parameter]:
    return [parameter for parameter in lane.model.parameters() if not parameter.requires_grad]


def _shared(lanes: Sequence[Supervised]) -> set[str]:
    """The buffers that stay the same in all lanes: those of frozen layers that see nothing of what is trained, by name."""
    first, sees = lanes[0], dict[nn.Module, bool]()
    if not _frozen(first):
        return set()

    def look(layer: nn.Module, *given: Any) -> None:
        seen = any(isinstance(one, torch.Tensor) and one.requires_grad for one in tree_leaves(given))
        sees[layer] = sees.get(layer, False) or seen

    def say(inputs: Any) -> list[Any]:
        with torch.enable_grad():
            return [call(first.model.eval(), inputs)]

    still = [layer for layer in first.model.modules() if not any(parameter.requires_grad for parameter in layer.parameters())]
    hooks = [layer.register_forward_pre_hook(look, with_kwargs=True) for layer in still]
    try:
        first.glance(say)
    finally:
        for hook in hooks:
            hook.remove()
    theirs = {id(buffer) for layer, trained in sees.items() if not trained for buffer in layer.buffers(recurse=False)}
    others = [dict(lane.model.named_buffers()) for lane in lanes[1:]]
    names = [(name, buffer) for name, buffer in first.model.named_buffers() if id(buffer) in theirs]
    return {name for name, buffer in names if all(torch.equal(buffer, other[name]) for other in others)}


def _kept(lane: Supervised, key: str) -> list[torch.Tensor]:
    """What the optimizer keeps of its parameters by this name; zeros before it has."""
    trained = chain(*(group.values() for group in _groups(lane)))
    kept = [(parameter, lane.optimizer.state.get(parameter, {}).get(key)) for parameter in trained]
    return [torch.zeros_like(parameter) if tensor is None else tensor for parameter, tensor in kept]


def _share(lane: Supervised, tensors: Mapping[str, Sequence[torch.Tensor]]) -> None:
    """Have a lane's parameters, and what its optimizer keeps of them, lie in these tensors."""
    for rule, group, parameters in zip(_rules([lane]), lane.optimizer.param_groups, _groups(lane)):
        for name, parameter in parameters.items():
            parameter.data, *kept = tensors[name]
            parameter.grad = None
            if keeps := rule.kept(group):
                lane.optimizer.state[parameter].update(zip(keeps, kept))
            if rule.counts:
                where = parameter.device if group["fused"] else "cpu"  # torch's own fused kernels want it there
                lane.optimizer.state[parameter].setdefault("step", torch.tensor(float(lane.step), device=where))


def _part(lane: Supervised) -> None:
    """Have a lane's tensors lie in memory of their own again."""
    trained = {name: parameter.detach() for group in _groups(lane) for name, parameter in group.items()}
    kept = [_kept(lane, key) for key in _rules([lane])[0].keeps]
    _share(lane, {name: [tensor.clone() for tensor in tensors] for (name, *tensors) in zip(trained, trained.values(), *kept)})
    for buffer in lane.model.buffers():
        buffer.data = buffer.data.clone()


def hindrance(lanes: Sequence[Supervised]) -> str:
    """Why these cannot be fused; "" if nothing is known to stand in the way."""
    first = lanes[0]
    if not isinstance(first, Supervised):
        return "only a Task's can be"
    if any((lane.task, lane.step, lane.device) != (first.task, first.step, first.device) for lane in lanes):
        return "they are not at one step of one task"
    if len({(lane.plan.batch_size, lane.plan.seed, lane.plan.recipe) for lane in lanes}) > 1:
        return "only trainings of one batch size, seed and recipe can be"
    if any(lane.plan.finish for lane in lanes):
        return "what is done with a winner at last is done to one model at a time"
    for name, _ in first.plan.recipe.parts():
        if name not in FUSIBLE:
            return f"{name} in the recipe is done to one model at a time"
    if any(len(lane.plan.optimizers) > 1 for lane in lanes) or not _rules(lanes):
        return f"only trainings by one optimizer, {RULED}, can be"
    groups = [[*map(list, _groups(lane))] for lane in lanes]
    trained = {name: parameter for name, parameter in first.model.named_parameters() if parameter.requires_grad}
    if sorted(chain(*groups[0])) != sorted(trained) or any(names != groups[0] for names in groups):
        return "only models whose optimizer has all parameters that are trained, and no others, can be"
    if not all(parameter.dtype == torch.float32 for parameter in trained.values()):
        return "only models that are trained in single precision can be"
    if not all(torch.equal(one, other) for lane in lanes[1:] for one, other in zip(_frozen(first), _frozen(lane), strict=True)):
        return "only models in which the same is frozen can be"
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
    one.train(1, 0.0)
    parameters = [parameter for group in _groups(one) for parameter in group.values()]
    pulls = [(torch.zeros_like(p) if p.grad is None else p.grad.clone()).reshape(-1) for p in parameters]
    one.restore(begun)
    single = Fused([one])
    single_loss = single.train(TRIED_STEPS, [rate])[0]
    told = one.glance(lambda inputs: [call(one.model.eval(), inputs)])[0], single.glance()[0]
    by_itself = _flat(one.model.parameters())
    one.wake()
    batched = single.gradients()[1][0].split([pull.numel() for pull in pulls])
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
    lanes[0].step = lanes[-1].step  # wherever that is
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
