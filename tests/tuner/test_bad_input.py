"""What if a person, or a file, says nonsense? One line that says where, what was expected and what came; exit code 2."""

import os
import pickle
import subprocess
import sys
import typing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from studies.ledger import Store
from studies.plan import Plan, constant
from studies.trial import Metric, Point, Progress, State
from tuner.cli import _run, app

ROOT = str(Path(__file__).parents[2])

TASK = """
import torch
from torch import nn
from trainables import Task
class Good(Task):
    def data(self): return (torch.zeros(8, 2), torch.zeros(8).long()), (torch.zeros(4, 2), torch.zeros(4).long())
    def model(self): return nn.Linear(2, 2)
class NoTask: pass
a_number = 3
"""

PLAN = "{lr: 0.1, step_nums: 10, batch_size: 4, momentum: 0.9, schedule: [{steps: 10, shape: constant, lr: 0.1}]}"
YAML = f"format: 1\nstudy: s\ntask: good.py:Good\nmetric: {{name: accuracy, mode: max}}\nplan: {PLAN}\n"

HEADER = "optimizer,lr,batch_size,momentum,seed,step,train_loss,val_loss,val_accuracy\n"
ROW = "sgd,0.1,32,0.9,0,10,1.0,1.0,0.5\n"

CANARY = "open('canary', 'w').close()"

FILES = {
    "good.py": TASK,
    "syntax.py": "class Good(:\n",
    "tabs.py": "if True:\n\tx = 1\n        y = 2\n",
    "nul.py": "x = 1\0\n",
    "latin.py": b"x = '\xe9'\n",
    "imports.py": "import no_such_module_anywhere\n",
    "raises.py": "raise RuntimeError('two\\nlines')\n",
    "exits.py": "import sys; sys.exit(3)\n",
    "empty.py": "",
    "half.py": "from trainables import Trainable\nclass Half(Trainable):\n    def train(self, steps, lr): return 0.0\n",
    "own.py": "class Own:\n    metric, mode = 'loss', 'min'\n    train = evaluate = state = restore = print\n",
    "init.py": TASK + "class Bad(Good):\n    def __init__(self): raise ValueError('not today')\n",
    "needs.py": TASK + "class Bad(Good):\n    def __init__(self, more): pass\n",
    "metric.py": TASK + "class Bad(Good):\n    metric = 'f1'\n",
    "mode.py": TASK + "class Bad(Good):\n    metric, mode = 'f1', 'best'\n",
    "nodata.py": "from trainables import Task\nclass Bad(Task): pass\n",
    "one.py": TASK + "class Bad(Good):\n    def data(self): return 1\n",
    "none.py": TASK + "class Bad(Good):\n    def data(self): pass\n",
    "uneven.py": TASK + "class Bad(Good):\n    def data(self): return ((torch.zeros(8, 2), torch.zeros(7)),) * 2\n",
    "nothing.py": TASK + "class Bad(Good):\n    def data(self): return ((torch.zeros(0, 2), torch.zeros(0).long()),) * 2\n",
    "noloss.py": TASK + "class Bad(Good):\n    def loss(self, outputs, targets): raise RuntimeError('no loss today')\n",
    "nomodel.py": TASK + "class Bad(Good):\n    def model(self): return None\n",
    "kept.csv": HEADER + ROW,
    "text.db": "lr,accuracy\n" * 1000,
    "note.txt": "hello",
}

SERIAL = ["--runner", "serial"]
KEPT = ["--task", "replay:kept.csv", *SERIAL]

# Arguments, and words that the line must have.
COMMANDS = {
    "no such command": (["tune"], ["tune", "No such command"]),
    "an empty command": ([""], ["No such command"]),
    "an unknown option": (["run", "--leaning-rate", "1"], ["--leaning-rate"]),
    "an unknown short option": (["run", "-x"], ["-x"]),
    "an option before the command": (["--study", "s", "run"], ["--study"]),
    "an argument too many": (["run", "digits"], ["digits"]),
    "two arguments too many": (["status", "a", "b", "c"], ["b c"]),
    "nothing to resume": (["resume"], ["study"]),
    "nothing to report": (["report"], ["study"]),
    "nothing to export": (["export"], ["study"]),
    "nothing to train": (["train"], ["config"]),
    "nothing to check": (["check"], ["task"]),
    "a check of no task": (["check", "mnist"], ["mnist", "digits"]),
    "a check of recorded curves": (["check", "replay:note.txt"], ["expected a task that trains", "note.txt"]),
    "a check without time": (["check", "good.py:Good", "--seconds", "0"], ["--seconds", "from 1", "0"]),
    "a check with an unknown optimizer": (["check", "good.py:Good", "--optimizer", "newton"], ["newton", "sgd"]),
    "a check on no device": (["check", "good.py:Good", "--device", "tpu"], ["--device", "cuda", "tpu"]),
    "a check of data that are not there": (["check", "cifar10", "--data", "nowhere"], ["nowhere"]),
    "a value for a flag": (["run", "--dry-run=yes"], ["--dry-run"]),
    "a flag that cannot be turned off": (["run", "--no-dry-run"], ["--no-dry-run"]),
    "a mode alone": (["run", "--mode", "max", *SERIAL], ["--mode", "--metric", "expected"]),
    "an option for another runner": (
        ["stage1", "--task", "good.py:Good", "--workers", "2", *SERIAL],
        ["--workers", "--runner serial"],
    ),
    "more processes than examples in a batch": (
        ["stage1", "--task", "good.py:Good", "--processes", "3", "--batch-size", "2", *SERIAL],
        ["--processes", "expected at most 2, the batch size", "3"],
    ),
    "processes that share what cannot be": (
        ["stage1", "--task", "own.py:Own", "--processes", "2", *SERIAL],
        ["--processes", "expected a Task", "Own"],
    ),
    "processes in lockstep": (
        ["stage1", "--task", "good.py:Good", "--processes", "2", "--fuse", *SERIAL],
        ["--fuse", "--processes"],
    ),
    "processes on a part of a GPU": (
        ["stage1", "--task", "good.py:Good", "--processes", "2", "--gpus-per-trial", "0.5"],
        ["--gpus-per-trial", "--processes"],
    ),
    "an address for the wrong runner": (
        ["stage1", "--task", "good.py:Good", "--address", "x:1", *SERIAL],
        ["--address", "--runner serial"],
    ),
    "a rate of zero": (["stage1", "--lrs", "0"], ["--lrs", "greater than or equal to 0.0000000001", "0.0"]),
    "batch sizes in fractions": (["stage2", "--batch-sizes", "16.5"], ["--batch-sizes", "expected ints", "16.5"]),
    "a batch size of zero": (["stage2", "--batch-sizes", "0,16"], ["--batch-sizes", "greater than or equal to 1", "0"]),
    "a momentum of one": (["stage2", "--momenta", "1.0"], ["--momenta", "less than 1", "1.0"]),
    "no samples": (["stage2", "--trials", "0"], ["--trials", "greater than or equal to 1"]),
    "a factor of one": (["stage3", "--factors", "1"], ["--factors", "less than 1"]),
    "a factor of zero": (["stage3", "--factors", "0"], ["--factors", "greater than 0"]),
    "an interval of zero": (["stage3", "--intervals", "0"], ["--intervals", "greater than or equal to 1"]),
    "an unknown trick": (["stage4", "--tricks", "mixupp"], ["--tricks", "mixup", "NAME=VALUE", "'mixupp'"]),
    "a trick with a value that it cannot have": (["stage4", "--tricks", "mixup=-1"], ["--tricks", "mixup.alpha", "-1"]),
    "a trick that is off": (["stage4", "--tricks", "mixup=false"], ["--tricks", "mixup", "'mixup=false'"]),
    "no workers": (["run", "--workers", "0"], ["--workers", "greater than or equal to 1"]),
    "no repeats": (["run", "--repeats", "0"], ["--repeats", "greater than or equal to 1"]),
    "a configuration that is not there": (["train", "none.yaml"], ["none.yaml", "no such file", "tune export"]),
    "a configuration that is a folder": (["train", "."], ["expected a file, got a folder"]),
    "a finish of a study that is not there": (["finish", "nobody"], ["--study", "nobody", "there, edited"]),
    "the cost of a stage before its time": (["stage3", "--dry-run", "--task", "good.py:Good"], ["stage3", "stage2 first"]),
    "a metric that is not measured": (
        ["stage1", "--task", "good.py:Good", "--metric", "f1", *SERIAL],
        ["--metric", "f1", "accuracy"],
    ),
    "an unknown optimizer": (["stage1", "--task", "good.py:Good", "--optimizer", "newton", *SERIAL], ["newton", "sgd"]),
    "stage 2 before stage 1": (["stage2", "--task", "good.py:Good", *SERIAL], ["stage2", "stage1 first"]),
    "stage 3 before stage 2": (["stage3", "--task", "good.py:Good", *SERIAL], ["stage3", "stage2 first"]),
    "the decay of recorded curves": (["stage3", *KEPT], ["stage3: expected a task that trains", "constant rates only"]),
    "what it would cost": (["stage3", "--dry-run", *KEPT], ["stage3: expected a task that trains", "constant rates only"]),
    "a few batches of recorded curves": (["stage1", "--quick", *KEPT], ["--quick: expected a task that trains", "kept.csv"]),
    "tricks for recorded curves": (["stage4", *KEPT], ["stage4: expected a task that trains"]),
    "a batch size that was not recorded": (["stage1", "--batch-size", "3", *KEPT], ["batch_size", "kept.csv", "3", "[32]"]),
    "more steps than were recorded": (["stage1", "--max-steps", "11", *KEPT], ["--max-steps", "at most 10", "11"]),
    "an extension beyond what was recorded": (["extend", "table", "stage1", "0", "--to", "11"], ["kept.csv", "11", "holds 10"]),
    "data that is not there": (["run", "--task", "cifar10", "--data", "nowhere", *SERIAL], ["nowhere"]),
    "data that is no folder": (["run", "--task", "cifar10", "--data", "note.txt", *SERIAL], ["note.txt"]),
    "states at no URL": (["stage1", "--task", "good.py:Good", "--checkpoints", "no://x", *SERIAL], ["--checkpoints", "no://x"]),
    "states in a file": (
        ["stage1", "--task", "good.py:Good", "--checkpoints", "note.txt", *SERIAL],
        ["--checkpoints", "note.txt"],
    ),
    "a workdir that is a file": (["status", "--workdir", "note.txt"], ["--workdir", "note.txt", "expected a folder"]),
    "a workdir in a file": (["status", "--workdir", "note.txt/x"], ["--workdir", "note.txt", "expected a folder"]),
    "a workdir of a long name": (["status", "--workdir", "x" * 5000], ["--workdir", "expected a folder"]),
    "no workdir": (["status", "--workdir", "typo"], ["--workdir", "expected a folder with studies", "typo"]),
    "a workdir in /proc": (["status", "--workdir", "/proc/x"], ["--workdir", "/proc/x", "expected a folder"]),
    "another task of this name": (["run", "--study", "there", "--task", "good.py:Good", *SERIAL], ["--study", "there", "digits"]),
    "an export of nothing decided": (["export", "there"], ["there", "no decision"]),
    "an export in no format": (["export", "there", "--format", "onnx"], ["--format", "yaml, json, timm", "got 'onnx'"]),
    "an export to a file of another kind": (
        ["export", "there", "--format", "torch", "--out", "best.yaml"],
        ["--out", "ends in .py", "--format torch", "'best.yaml'"],
    ),
    "an export of nothing decided to a trainer": (["export", "there", "--format", "timm"], ["there", "no decision"]),
    "to resume what was changed by hand": (["resume", "edited"], ["colour", "version"]),
    "trials of no stage": (["trials", "tried", "--stage", "stage7"], ["--stage", "stage7", "stage1"]),
    "to stop what does not run": (["stop", "tried"], ["'tried' is not running", "stopped"]),
    "to stop a study that is not there": (["stop", "nobody"], ["--study", "nobody", "there, edited"]),
    "a rate for a study that is not there": (["add", "nobody", "--lr", "1"], ["--study", "nobody", "there, edited"]),
    "no rate to add": (["add", "tried"], ["--lr"]),
    "a rate of zero to add": (["add", "tried", "--lr", "0"], ["--lr", "greater than or equal to 0.0000000001"]),
    "an extension of no stage": (["extend", "tried", "stage7", "0", "--to", "200"], ["stage7", "stages are: stage1"]),
    "an extension of no trial": (["extend", "tried", "stage1", "7", "--to", "200"], ["stage1", "no trial 7"]),
    "an extension of a trial beyond counting": (["extend", "tried", "stage1", "9" * 30, "--to", "200"], ["stage1", "no trial"]),
    "an extension of a trial in words": (["extend", "tried", "stage1", "best", "--to", "200"], ["number", "integer"]),
    "an extension to where it is": (
        ["extend", "tried", "stage1", "0", "--to", "100"],
        ["--to", "trial 0", "step 100", "later end"],
    ),
    "an extension to nowhere": (["extend", "tried", "stage1", "0"], ["--to"]),
    "an extension to step 0": (["extend", "tried", "stage1", "0", "--to", "0"], ["--to"]),
    "an extension of what diverged": (["extend", "tried", "stage1", "1", "--to", "200"], ["trial 1", "diverged"]),
    "a winner without a reason": (["overrule", "tried", "stage1", "0"], ["--reason", "expected why"]),
    "a winner with an empty reason": (["overrule", "tried", "stage1", "0", "--reason", " "], ["--reason", "expected why"]),
    "a winner with too long a reason": (["overrule", "tried", "stage1", "0", "--reason", "x" * 10_001], ["--reason", "10000"]),
    "a winner that diverged": (["overrule", "tried", "stage1", "1", "--reason", "so"], ["trial 1", "diverged"]),
    "a winner of no number": (["overrule", "tried", "stage1", "--reason", "so"], ["number", "--take-back"]),
    "a winner to be taken back": (["overrule", "tried", "stage1", "0", "--take-back"], ["number", "--take-back"]),
    "nothing to take back": (["overrule", "tried", "stage1", "--take-back"], ["stage1", "nothing to take back"]),
    "an empty note": (["note", "tried", ""], ["TEXT", "at least 1 character"]),
    "too long a note": (["note", "tried", "x" * 10_001], ["TEXT", "at most 10000 characters"]),
    "a note that moves the cursor on no stage": (["note", "tried", "x", "--stage", "a\x1b[2J"], ["no stage", "stage1"]),
    "a note on a trial of no stage": (["note", "tried", "x", "--trial", "0"], ["trial 0 of which stage", "stage1"]),
    "a note on no trial": (["note", "tried", "x", "--stage", "stage1", "--trial", "7"], ["stage1", "no trial 7"]),
    "a port that is none": (["dashboard", "--port", "99999"], ["--port", "65535"]),
    "a host that is none": (["dashboard", "--host", "no host", "--token", "x" * 20], ["--host", "no host"]),
    "an address of somebody else": (["dashboard", "--host", "192.0.2.1", "--token", "x" * 20], ["--host", "192.0.2.1"]),
    "all the world without a token": (["dashboard", "--host", "0.0.0.0"], ["--host", "--token"]),
    "all the world with a short token": (["dashboard", "--host", "::", "--token", "abc"], ["--host", "--token", "8 characters"]),
}

NAMES = ["", " ", ".", "..", "a/b", "a b", "<b>", "-x", "\u00e9", "x" * 81, "a\nb", "x" * 100_000, "$(id)", "a\\b", "\u202ea"]

STORAGES = {
    "nonsense": ["nonsense"],
    "": ["''"],
    "://": ["://"],
    "sqlite": ["sqlite"],
    "sqlite://": ["in memory"],
    "sqlite:///": ["in memory"],
    "sqlite:///:memory:": ["in memory"],
    "sqlite:////no/such/folder/studies.db": ["/no/such/folder", "does not exist"],
    "sqlite:///note.txt/studies.db": ["note.txt"],
    "sqlite:///text.db": ["text.db", "SQLite"],
    "sqlite:///note.txt": ["note.txt", "SQLite"],
    "sqlite:///folder": ["folder"],
    "sqlite:///" + "x" * 5000: ["--storage"],
    "sqlite+pysqlcipher:///x.db": ["pysqlcipher"],
    "oracledb://x/y": ["oracledb"],
    "mssql://x/y": ["mssql"],
    "redis://localhost": ["redis"],
    "http://localhost/x": ["http"],
    "s3://bucket/studies.db": ["s3"],
    "postgresql://h:port/x": ["postgresql"],
    "postgresql://me:secret@h:99x/x": ["postgresql"],
    "postgresql+nothing://h/x": ["driver"],
    "mysql+oursql://me:secret@h/x": ["driver"],
    "journal:///x": ["journal"],
    "/tmp/studies.db": ["/tmp/studies.db", "sqlite:///"],
    "studies.db": ["studies.db", "sqlite:///"],
    "caf\u00e9://x": ["--storage"],
    "sqlite:///a\nb/c.db": ["does not exist"],
    "x" * 100_000: ["--storage"],
}

TASKS = {
    "": ["''"],
    " ": ["' '"],
    "mnist": ["mnist", "digits"],
    "Digits": ["Digits", "digits"],
    "good.py": ["good.py", "file.py:Name"],
    "good.py:": ["good.py:", "file.py:Name"],
    ":Good": [":Good", "file.py:Name"],
    ":": ["':'"],
    "::": ["::"],
    "bad.py:Good": ["no file", "bad.py"],
    "folder:Good": ["folder"],
    "folder.py:Good": ["no file", "folder.py"],
    "no.such.module:Good": ["no.such.module"],
    "os:path": ["os:path"],
    "os:PathLike": ["PathLike"],
    "json.nothing:Good": ["json.nothing"],
    ".good:Good": [".good"],
    "..:Good": ["..:Good"],
    "./bad.py:Good": ["no file ./bad.py"],
    "good.py:Bad": ["good.py", "no Bad", "Good"],
    "good.py:NoTask": ["NoTask", "Good"],
    "good.py:a_number": ["a_number", "Good"],
    "good.py:torch": ["torch", "Good"],
    "good.py:Task": ["Task", "Good"],
    "good.py:Good.data": ["Good.data"],
    "good.py:no name": ["no name"],
    "half.py:Half": ["Half", "evaluate"],
    "empty.py:Good": ["no Good", "none"],
    "metric.py:Bad": ["Bad", "metric", "mode"],
    "mode.py:Bad": ["Bad", "mode", "best"],
    "x" * 5000: ["--task"],
    "x" * 5000 + ".py:Good": ["--task"],
    "x" * 5000 + ":Good": ["--task"],
    "good.py:" + "x" * 5000: ["--task"],
    "a\nb:c": ["--task"],
    "\u00e9\u00e9.py:Good": ["no file"],
    "replay:": ["no file"],
    "replay:none.parquet": ["none.parquet", "no file"],
    "replay:folder": ["folder", "no file"],
    "replay:" + "x" * 5000: ["no file"],
}

# Tasks whose own code is wrong: the line, and below it the traceback of that code.
BROKEN = {
    "syntax.py:Good": ["syntax.py", "SyntaxError"],
    "tabs.py:Good": ["tabs.py", "TabError"],
    "nul.py:Good": ["nul.py", "null bytes"],
    "latin.py:Good": ["latin.py", "SyntaxError"],
    "imports.py:Good": ["imports.py", "no_such_module_anywhere"],
    "raises.py:Good": ["raises.py", "RuntimeError"],
    "exits.py:Good": ["exits.py", "SystemExit"],
    "needs.py:Bad": ["needs.py:Bad", "more"],
    "init.py:Bad": ["init.py:Bad", "not today"],
    "nodata.py:Bad": ["Bad", "data(self)"],
    "one.py:Bad": ["Bad.data", "(train, valid)"],
    "none.py:Bad": ["Bad.data", "NoneType"],
    "uneven.py:Bad": ["Bad.data", "8", "7"],
    "nothing.py:Bad": ["Bad.data"],
    "nomodel.py:Bad": ["model", "NoneType"],
}

TABLES = {
    "an empty file": ("", ["columns"]),
    "a blank line": ("\n", ["columns"]),
    "no rows": (HEADER, ["row"]),
    "no header": (ROW, ["columns", "optimizer"]),
    "two columns": ("lr,step\n0.1,10\n", ["columns", "missing", "optimizer", "val_accuracy"]),
    "another separator": (HEADER.replace(",", ";") + ROW.replace(",", ";"), ["columns", "missing"]),
    "too many cells": (HEADER + ROW + "sgd,0.1,32,0.9,0,20,1.0,1.0,0.5,7,8,9\n", ["csv"]),
    "an open quote": (HEADER + '"sgd,0.1\n', ["csv"]),
    "words for rates": (HEADER + ROW.replace("0.1", "fast"), ["lr", "numbers"]),
    "words for steps": (HEADER + ROW.replace("10", "ten"), ["step", "numbers"]),
    "words for losses": (HEADER + ROW.replace("1.0,1.0", "low,1.0"), ["train_loss", "numbers"]),
    "words among numbers": (HEADER + ROW + ROW.replace("0.9", "much"), ["momentum", "numbers"]),
    "truths for losses": (HEADER + ROW.replace("1.0,1.0", "True,1.0"), ["train_loss", "numbers"]),
    "numbers for optimizers": (HEADER + ROW.replace("sgd", "7"), ["optimizer"]),
    "no optimizer": (HEADER + ROW.replace("sgd", ""), ["optimizer"]),
    "no rate": (HEADER + ROW.replace("0.1", ""), ["lr"]),
    "a rate that is nan": (HEADER + ROW.replace("0.1", "nan"), ["lr"]),
    "an infinite rate": (HEADER + ROW.replace("0.1", "inf"), ["lr"]),
    "a rate of zero": (HEADER + ROW.replace("0.1", "0"), ["lr"]),
    "a negative rate": (HEADER + ROW.replace("0.1", "-0.1"), ["lr"]),
    "no step": (HEADER + ROW.replace(",10,", ",,"), ["step"]),
    "half a step": (HEADER + ROW.replace(",10,", ",1.5,"), ["step", "whole"]),
    "step zero": (HEADER + ROW.replace(",10,", ",0,"), ["step"]),
    "a negative step": (HEADER + ROW.replace(",10,", ",-10,"), ["step"]),
    "an infinite step": (HEADER + ROW.replace(",10,", ",inf,"), ["step"]),
    "a step beyond counting": (HEADER + ROW.replace(",10,", ",1e30,"), ["step"]),
    "no batch size": (HEADER + ROW.replace("32", ""), ["batch_size"]),
    "a negative batch size": (HEADER + ROW.replace("32", "-32"), ["batch_size"]),
    "a batch size of zero": (HEADER + ROW.replace("32", "0"), ["batch_size"]),
    "half an example": (HEADER + ROW.replace("32", "32.5"), ["batch_size", "whole"]),
    "a momentum of two": (HEADER + ROW.replace("0.9", "2"), ["momentum"]),
    "a negative momentum": (HEADER + ROW.replace("0.9", "-0.9"), ["momentum"]),
    "a momentum that is nan": (HEADER + ROW.replace("0.9", ""), ["momentum"]),
    "a negative seed": (HEADER + ROW.replace(",0,10", ",-1,10"), ["seed"]),
    "no seed": (HEADER + ROW.replace(",0,10", ",,10"), ["seed"]),
    "no losses at all": (HEADER + ROW.replace("1.0,1.0,0.5", ",,"), ["train_loss"]),
    "zeros": ("\0" * 1000, ["csv"]),
    "bytes": (bytes(range(256)) * 10, ["csv"]),
    "UTF-16": ((HEADER + ROW).encode("utf-16"), ["csv"]),
}

PARQUETS = {
    "an empty parquet": (b"", ["parquet"]),
    "text as parquet": (b"hello", ["parquet"]),
    "half a parquet": (b"PAR1" + b"\0" * 100, ["parquet"]),
    "an open parquet": (b"PAR1" + b"\xff" * 100 + b"PAR1", ["parquet"]),
    "a pickle as parquet": (pickle.dumps({"lr": [0.1]}), ["parquet"]),
}

EXPORTS = {
    "empty": ("", ["nothing"]),
    "a word": ("hello", ["hello"]),
    "a number": ("3", ["3"]),
    "a list": ("- 1\n", ["a list"]),
    "a tab": ("format:\t1\n\tstudy: x\n", ["line 1"]),
    "an open bracket": ("format: [1\n", ["line"]),
    "an open quote": ('format: "1\n', ["line"]),
    "two documents": (YAML + "---\n" + YAML, ["line"]),
    "a key twice": (YAML + "format: 1\n", ["format", "line 6"]),
    "an unknown key": (YAML + "colour: red\n", ["colour", "unknown", "valid keys"]),
    "no plan": (YAML.partition("plan")[0], ["plan", "missing"]),
    "no format": (YAML.partition("\n")[2], ["format", "missing"]),
    "a later format": (YAML.replace("format: 1", "format: 2"), ["format", "1", "2"]),
    "a format in words": (YAML.replace("format: 1", "format: one"), ["format", "one"]),
    "a study that is a list": (YAML.replace("study: s", "study: [s]"), ["study", "text", "list"]),
    "a task that is a number": (YAML.replace("good.py:Good", "3"), ["task", "text", "3"]),
    "no task": (YAML.replace("good.py:Good", ""), ["task", "text", "nothing"]),
    "an unknown task": (YAML.replace("good.py:Good", "mnist"), ["mnist", "digits"]),
    "an unknown mode": (YAML.replace("mode: max", "mode: best"), ["metric.mode", "best"]),
    "a metric that is a word": (YAML.replace("{name: accuracy, mode: max}", "accuracy"), ["metric", "accuracy"]),
    "a plan that is a word": (YAML.replace(PLAN, "fast"), ["plan", "fast"]),
    "a plan that is nothing": (YAML.replace(PLAN, "{}"), ["plan"]),
    "an unknown choice": (YAML.replace("momentum: 0.9", "moment: 0.9"), ["plan.moment", "unknown key"]),
    "a rate in words": (YAML.replace("lr: 0.1,", "lr: fast,"), ["plan.lr", "a number", "fast"]),
    "a rate of zero": (YAML.replace("lr: 0.1,", "lr: 0,"), ["lr", "0"]),
    "a negative rate": (YAML.replace("lr: 0.1,", "lr: -0.1,"), ["lr", "-0.1"]),
    "a rate that is nan": (YAML.replace("lr: 0.1,", "lr: .nan,"), ["lr", "nan"]),
    "an infinite rate": (YAML.replace("lr: 0.1,", "lr: .inf,"), ["lr", "inf"]),
    "a rate that is true": (YAML.replace("lr: 0.1,", "lr: true,"), ["plan.lr", "True"]),
    "no steps": (YAML.replace("step_nums: 10", "step_nums: 0"), ["step"]),
    "half a step": (YAML.replace("step_nums: 10", "step_nums: 1.5"), ["step", "1.5"]),
    "steps beyond counting": (YAML.replace("step_nums: 10", f"step_nums: {10**30}"), ["step"]),
    "steps beyond reading": (YAML.replace("step_nums: 10", "step_nums: " + "9" * 5000), [""]),
    "a batch of nobody": (YAML.replace("batch_size: 4", "batch_size: 0"), ["batch_size", "0"]),
    "a batch in words": (YAML.replace("batch_size: 4", "batch_size: four"), ["batch_size", "four"]),
    "a momentum of one": (YAML.replace("momentum: 0.9", "momentum: 1"), ["momentum", "1"]),
    "an unknown optimizer": (YAML.replace("lr: 0.1,", "optimizer: newton, lr: 0.1,"), ["newton", "sgd"]),
    "a python tag": (f'plan: !!python/object/apply:builtins.exec ["{CANARY}"]\n', ["line 1", "tag"]),
    "a python object": ("plan: !!python/object:good.Good {}\n", ["line 1", "tag"]),
    "a python name": ("plan: !!python/name:os.system\n", ["line 1", "tag"]),
    "a python module": ("plan: !!python/module:good\n", ["line 1", "tag"]),
    "a new python object": (f'study: !!python/object/new:os.system ["touch canary"]\n{YAML}', ["tag"]),
    "a tag of one's own": ("study: !mine x\n", ["tag"]),
    "a directive": ("%TAG ! tag:yaml.org,2002:python/\n---\nstudy: !name:os.system x\n", ["tag"]),
    "an anchor": ("study: &a s\ntask: *a\n", ["line 1", "anchor"]),
    "a billion laughs": (
        "a: &a [x,x]\n" + "".join(f"{b}: &{b} [*{a},*{a}]\n" for a, b in zip("abcdefgh", "bcdefghi")),
        ["anchor"],
    ),
    "a merge": ("<<: *x\n", ["line 1", "x"]),
    "a deep nest": ("[" * 10_000, ["nested"]),
    "deep mappings": ("{a: " * 1000, ["nested"]),
    "a hundred kilobytes and more": ("# x\n" * 100_000, ["100,000 bytes"]),
    "zeros": ("\0" * 100, ["YAML"]),
    "bytes": (bytes(range(256)), ["UTF-8"]),
    "a pickle": (pickle.dumps({"format": 1}), ["UTF-8"]),
    "UTF-16": (YAML.encode("utf-16"), ["UTF-8"]),
    "a number as a key": ("1: 2\n", ["names as keys", "1"]),
    "a date": (YAML.replace("study: s", "study: 2020-01-01"), ["study", "text"]),
    "a control character": ("study: \x07\n", ["YAML"]),
}


@pytest.fixture(scope="module")
def there(tmp_path_factory, sqlite_storage):
    """A folder with all the files of the tables, and a workdir that has two studies."""
    folder = tmp_path_factory.mktemp("bad")
    workdir = folder / "tune-runs"
    workdir.mkdir()
    (folder / "folder").mkdir()
    (workdir / "studies.db").write_bytes(sqlite_storage.read_bytes())
    store = Store(f"sqlite:///{workdir}/studies.db")
    for name, more in {"there": {}, "edited": {"colour": "red"}}.items():
        with store.drive(name, {"task": "digits", "workdir": str(workdir), **more}):
            pass
    with store.drive("tried", {"task": "digits", "workdir": str(workdir)}) as driver:
        study, plans = (
            driver.stage("stage1", Metric(name="accuracy", mode="max")),
            [constant(Plan(), lr, 100) for lr in (0.1, 1.0)],
        )
        study.plan(plans)
        for plan, ended in zip(plans, (State.COMPLETE, State.DIVERGED)):
            study.record(Progress(plan, (Point(100, {"accuracy": 0.5}),), ended=ended))
    with store.drive("table", {"task": "replay:kept.csv", "workdir": str(workdir), "cwd": str(folder)}) as driver:
        driver.stage("stage1", Metric(name="val_accuracy", mode="max")).plan([constant(Plan(batch_size=32), 0.1, 5)])
    store.close()
    for name, content in FILES.items():
        _write(folder / name, content)
    return folder


@pytest.fixture
def folder(there, monkeypatch):
    monkeypatch.chdir(there)
    return there


def _write(path: Path, content: str | bytes) -> None:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def refusal(arguments, capsys) -> str:
    """What is told. It is one line and exit code 2, stdout is empty, and nothing in it moves a terminal's cursor."""
    code = _run(arguments)
    told = capsys.readouterr()
    lines = [line for line in told.err.splitlines() if " INFO " not in line]
    shown = [argument[:80] for argument in arguments]
    assert code == 2, f"{shown}: exit code {code}, {told.err[:1000]}"
    assert told.out == "" and len(lines) == 1, f"{shown}: {told.out[:1000]}{told.err[:2000]}"
    assert lines[0].startswith("tune: ") and lines[0].isprintable(), f"{shown}: {lines[0][:1000]!r}"
    assert 20 < len(lines[0]) < 1_500, f"{shown}: {len(lines[0])} characters"
    assert "Traceback" not in lines[0]
    return lines[0]


def check(arguments, words, capsys) -> None:
    told = refusal(arguments, capsys)
    missing = [word for word in words if word not in told]
    assert not missing, f"{[argument[:80] for argument in arguments]}: no {missing} in: {told}"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_line(folder, capsys, name):
    check(*COMMANDS[name], capsys)


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name)[:20])
def test_a_study_s_name(folder, capsys, name):
    check(["run", f"--study={name}", *SERIAL], ["--study", "expected 1 to 80 letters"], capsys)
    for command in ("resume", "status", "trials", "stop", "report", "export", "clean") if name else ():
        check([command, "--", name], ["--study", "there, edited"], capsys)


@pytest.mark.parametrize("url", STORAGES, ids=lambda url: ascii(url)[:40])
def test_a_storage(folder, capsys, url):
    for command in (["run", *SERIAL], ["status"], ["dashboard"], ["export", "there"]):
        check([*command, f"--storage={url}"], ["--storage", *STORAGES[url]], capsys)
    assert "secret" not in refusal(["status", f"--storage={url}"], capsys)


@pytest.mark.parametrize("spec", TASKS, ids=lambda spec: ascii(spec)[:40])
def test_a_task(folder, capsys, spec):
    check(["run", "--study", "new", f"--task={spec}", *SERIAL], TASKS[spec], capsys)
    (folder / "best.yaml").write_text(YAML)
    if not spec.startswith("replay"):
        check(["train", "best.yaml", f"--task={spec}"], TASKS[spec], capsys)


@pytest.mark.parametrize("spec", BROKEN)
def test_a_task_that_is_broken(folder, capsys, spec):
    assert _run(["run", "--study", "new", "--task", spec, *SERIAL]) == 2
    told = capsys.readouterr()
    first, *below = [line for line in told.err.splitlines() if " INFO " not in line]
    assert first.startswith("tune: ") and all(word in first for word in BROKEN[spec]), first
    assert not below or below[0].startswith("Traceback"), told.err


@pytest.mark.parametrize("option", ["--dry-run", "--quick"])
def test_a_task_that_breaks_when_it_is_tried(folder, capsys, option):
    assert _run(["stage1", "--study", "new", "--task", "noloss.py:Bad", option]) == 2
    first, second, *_ = capsys.readouterr().err.splitlines()
    assert first.startswith("tune: ") and "RuntimeError: no loss today" in first and second.startswith("Traceback")


@pytest.mark.parametrize("name", TABLES)
def test_a_recording(folder, capsys, name):
    content, words = TABLES[name]
    _write(folder / "curves.csv", content)
    check(["run", "--study", "new", "--task", "replay:curves.csv", *SERIAL], ["curves.csv", *words], capsys)


@pytest.mark.parametrize("name", PARQUETS)
def test_a_recording_in_parquet(folder, capsys, name):
    content, words = PARQUETS[name]
    _write(folder / "curves.parquet", content)
    check(["run", "--study", "new", "--task", "replay:curves.parquet", *SERIAL], ["curves.parquet", *words], capsys)


@pytest.mark.parametrize("name", EXPORTS)
def test_a_configuration_to_train(folder, capsys, name):
    content, words = EXPORTS[name]
    _write(folder / "best.yaml", content)
    told = refusal(["train", "best.yaml"], capsys)
    assert all(word in told for word in words), told
    assert not (folder / "canary").exists() and not (folder / "trained").exists()


INTS = ["", "x", "1.5", "nan", "inf", "-1", "1e3", "\u00e9", "0x10", "9" * 30, "9" * 5000, "1 2"]
FLOATS = ["", "x", "nan", "inf", "-inf", "-1", "1e999", "\u00e9", "1,5", "0x1p3", "9" * 5000]
LISTS = ["", "x", ",", "1,", "1,,2", "nan", "inf", "-1", "1;2", "[1]", "\u00e9", "0.1,x", "1 2", "9" * 5000, "x," * 5000]
WORDS = ["", "x", "AUTO", "\u00e9", "x" * 5000, "a\nb", "\x1b[2J"]
CHOICES = {"runner", "device", "mode", "search", "lr_scaling", "warmup_shape"}
"""The options whose words are from a list; those of all others are names and places, with tables of their own."""


def _options():
    """Command, option, its name on the command line, and what kind of value it takes (None: a flag), of all there are."""
    for command in app.registered_commands:
        for key, annotation in command.callback.__annotations__.items():
            kind, option = typing.get_args(annotation)[:2]
            if type(option).__name__ == "OptionInfo":
                kind = next((one for one in typing.get_args(kind) if one is not type(None)), kind)
                name = next((name for name in option.param_decls if name.startswith("--")), f"--{key.replace('_', '-')}")
                yield command.name, key, name.split("/")[0], kind


OPTIONS = list(_options())
STARTING = ("run", "stage1", "stage2", "stage3", "stage4")
VALUES = {int: INTS, float: FLOATS, tuple: LISTS}


def _values(key, kind):
    return VALUES.get(kind, WORDS if key in CHOICES else [])


def _refused(command, key, name, value):
    """Arguments in which just this is wrong."""
    trial = ["tried", "stage1", "0"]
    needed = {
        "train": ["best.yaml"],
        "add": ["tried"],
        "extend": trial,
        "overrule": trial,
        "note": ["tried", "x"],
        "check": ["digits"],
        "finish": ["tried"],
    }
    needed = needed.get(command, ["there"] if command in ("resume", "report", "export", "stop", "trials") else [])
    serial = SERIAL if command in STARTING and key != "runner" else []
    metric = ["--metric", "accuracy"] if key == "mode" else []
    return [command, *needed, *serial, *metric, f"{name}={value}"]


@pytest.mark.parametrize("command, key, name, kind", OPTIONS, ids=[f"{one[0]} {one[2]}" for one in OPTIONS])
def test_an_option(folder, capsys, command, key, name, kind):
    (folder / "best.yaml").write_text(YAML)
    for value in _values(key, kind):
        check(_refused(command, key, name, value), [name], capsys)
    if kind is bool:
        check([command, f"{name}=1"], [name], capsys)
    else:
        check([command, name], [name, "requires an argument"], capsys)
    check([command, f"{name}z=1"], [f"{name}z"], capsys)


def test_there_are_more_than_a_thousand_of_them():
    tables = (COMMANDS, NAMES, STORAGES, TASKS, BROKEN, TABLES, PARQUETS, EXPORTS)
    options = sum(len(_values(key, kind)) + 2 for _, key, _, kind in OPTIONS)
    assert sum(map(len, tables)) + options > 1_000


def test_what_is_refused_leaves_nothing_behind(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    check(["run", "--max-steps", "0", *SERIAL], ["--max-steps"], capsys)
    check(["run", "--study", "a/b", *SERIAL], ["--study"], capsys)
    check(["train", "best.yaml", "--seed=-1"], ["--seed"], capsys)
    check(["status", "--workdir", "typo"], ["--workdir"], capsys)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_asked_is_not_written_down(folder, capsys):
    store = Store(f"sqlite:///{folder}/tune-runs/studies.db")
    before = store.record("tried")
    for arguments, words in COMMANDS.values():
        if arguments[:1] in (["stop"], ["add"], ["extend"], ["overrule"], ["note"]):
            check(arguments, words, capsys)
    assert (store.wishes("tried"), store.record("tried")) == ([], before)
    store.close()


def test_a_refused_option_does_not_stick_to_the_study(folder, capsys):
    check(["stage1", "--study", "once", "--task", "good.py:Good", "--workers", "2", *SERIAL], ["--workers"], capsys)
    check(["resume", "once"], ["no study 'once'"], capsys)


TEXT = st.text(st.characters(exclude_characters="\0"), max_size=30)
NONSENSE = st.one_of(TEXT, st.sampled_from([*INTS, *FLOATS, *LISTS, *WORDS, *NAMES, *STORAGES, "1", "0.5", "0.1,1", "sgd"]))
FINE = ("--help", "--version", "--install-completion", "--show-completion")


@st.composite
def command_lines(draw):
    """A command with options of its own and others, some of them as they should be; its task is never there."""
    command = draw(st.sampled_from([command.name for command in app.registered_commands]))
    own = [name for of, key, name, _ in OPTIONS if of == command and key not in ("task", "runner", "workdir", "host", "out")]
    options = st.sampled_from([*own, *{name for _, key, name, _ in OPTIONS if key not in ("task", "runner", "workdir", "out")}])
    pair = st.tuples(options, NONSENSE).map(lambda pair: draw(st.sampled_from([list(pair), [f"{pair[0]}={pair[1]}"], [pair[0]]])))
    words = [word for part in draw(st.lists(st.one_of(pair, NONSENSE.map(lambda text: [text])), max_size=4)) for word in part]
    always = {"dashboard": ["--host", "no host"], "train": ["none.yaml"], "report": ["nobody"]}
    starts = ["--task", "replay:none.csv", *SERIAL]
    return [command, *words, *always.get(command, starts if command in STARTING else [])]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(command_lines())
def test_any_command_line(folder, capsys, arguments):
    if any(word.startswith(FINE) for word in arguments):
        return
    code = _run(arguments)
    told = capsys.readouterr()
    if code:
        assert code == 2 or (code == 1 and "--storage" in "".join(arguments)), (code, told.err)
        assert len(told.err.splitlines()) == 1 and told.err.startswith("tune: ") and len(told.err) < 1_500, told.err
    else:
        assert arguments[0] in ("status", "clean", "recipes"), arguments
    assert "Traceback" not in told.err


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.text(max_size=300), st.binary(max_size=300).map(lambda data: YAML.encode() + data)))
def test_any_configuration(folder, capsys, content):
    (folder / "any.yaml").write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "replace"))
    if _run(["train", "any.yaml", "--task", "none.py:None"]) == 2:
        told = capsys.readouterr().err
        assert len(told.splitlines()) == 1 and told.startswith("tune: "), told
    else:
        pytest.fail(capsys.readouterr().err)


FRESH = [["tune"], ["run", "--task", "mnist"], ["resume", "nobody"], ["train", "none.yaml"], ["dashboard", "--port", "99999"]]


@pytest.mark.parametrize("arguments", FRESH, ids=" ".join)
def test_a_process_of_its_own(there, arguments):
    command = [sys.executable, "-m", "tuner", *arguments]
    done = subprocess.run(command, cwd=there, capture_output=True, text=True, timeout=60, env=os.environ | {"PYTHONPATH": ROOT})
    assert done.returncode == 2 and done.stdout == "", done.stderr
    assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith("tune: "), done.stderr
