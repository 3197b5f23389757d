"""What does Lightning need to be told? A class to mix in, which brings `configure_optimizers`, and the Trainer's arguments.

It is Python, not the YAML of Lightning's command line: that has no word for a scheduler stepped with the updates (it steps
once an epoch), and none for schedulers in a row.
"""

from reports.export import torch
from reports.export.parts import in_pieces
from studies.plan import Plan

SUFFIX = ".py"
USE = (
    "For Lightning:",
    "",
    "    from {module} import BATCH_SIZE, SEED, TRAINER, Tuned",
    "",
    "    class Mine(Tuned, LightningModule): ...",
    "",
    "    Trainer(**TRAINER).fit(Mine(), ...)  # on one device, with batches of BATCH_SIZE examples",
    "    LightningCLI(Mine, ..., trainer_defaults=TRAINER, seed_everything_default=SEED)  # or this",
)

FILE = '''\


class Tuned:
    """The optimizer and the rate of every update, for the LightningModule that it is mixed into (named before it)."""

    def configure_optimizers(self):
        optimizer = make_optimizer(self.parameters())
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": make_scheduler(optimizer), "interval": "step"}}


TRAINER = {"max_steps": STEPS, "max_epochs": -1, "accumulate_grad_batches": %d, "gradient_clip_val": %s, "precision": "%s"}
'''


def written(plan: Plan, examples: int | None) -> tuple[str, tuple[str, ...]]:
    """The file. Raises: phases.Unsayable."""
    batch_size, pieces = in_pieces(plan, "Lightning")
    clip, halved = plan.recipe.clip, plan.recipe.precision
    recipe = plan.recipe.model_copy(update=dict.fromkeys(("accumulate", "clip", "precision")))
    text, notes = torch.written(plan.but(batch_size=batch_size, recipe=recipe), examples)
    return text + FILE % (pieces, clip.norm if clip else None, "bf16-mixed" if halved else "32-true"), notes
