"""Learning starts without torch's compiler, and a caller who compiles finds torch as it was."""

import os
import subprocess
import sys

from core.config import CHECKOUT
from tests.training.conftest import TINY

_FIRST_BATCH = """
import sys
from pathlib import Path
from core.config import get_settings
from core.training.isolation import isolate
isolate(get_settings())
from core.schemas import Hyperparameters
from core.training.compiler import COMPILER
from core.training.engine import FineTuner
from core.training.recipe import trainer_arguments
asked, parent, dataset, run = sys.argv[1:]
tuner = FineTuner(overrides=trainer_arguments(
    Hyperparameters.model_validate_json(asked),
    parent=Path(parent), dataset_folder=Path(dataset), run_folder=Path(run), device="cpu",
))
def tell(trainer):
    print("loaded", COMPILER in sys.modules)
    sys.exit()
tuner.add_callback("on_train_batch_end", tell)
tuner.train()
"""


def test_the_first_batch_is_learned_without_the_compiler(bench, tmp_path):
    bench.revision_for(TINY).save(tmp_path)
    arguments = [TINY.model_dump_json(), bench.weights, tmp_path, tmp_path / "run"]
    done = subprocess.run(
        [sys.executable, "-c", _FIRST_BATCH, *map(str, arguments)],
        cwd=CHECKOUT,
        env=os.environ | bench.settings.environment(),
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "loaded False", done.stderr


def test_optimizers_are_afterwards_as_they_were(bench, monkeypatch):
    from core.training import compiler

    # As in a process that never imported it.
    monkeypatch.delitem(sys.modules, compiler.COMPILER, raising=False)
    for method in _wrapped():
        monkeypatch.delattr(method.__wrapped__, compiler.ANSWER, raising=False)
    before = [dict(vars(method.__wrapped__)) for method in _wrapped()]
    with compiler.optimizers_alone():
        assert all(vars(method.__wrapped__)[compiler.ANSWER] is method.__wrapped__ for method in _wrapped())
    assert [dict(vars(method.__wrapped__)) for method in _wrapped()] == before


def _wrapped():
    from torch.optim import Optimizer

    return [method for method in vars(Optimizer).values() if hasattr(method, "__wrapped__")]


def test_a_step_taken_directly_is_the_same_step(bench):
    import torch

    from core.training import compiler

    def stepped(make):
        weights = torch.nn.Parameter(torch.linspace(-1, 1, 8))
        optimizer = make(torch.optim.AdamW([weights], lr=0.1))
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))
        for _ in range(3):
            (weights**2).sum().backward()
            optimizer.step()
            schedule.step()
        return weights.detach()

    assert torch.equal(stepped(compiler.step_alone), stepped(lambda optimizer: optimizer))
