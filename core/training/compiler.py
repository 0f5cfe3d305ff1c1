"""Training without torch's compiler: nothing is compiled, and importing it takes as long as torch itself.

torch and Ultralytics import it all the same, to tell it what is so without it. Here they do not. Where a new
version finds another way to it, learning starts a second later, a test fails, and nothing else happens.
"""

import inspect
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import MethodType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch.optim import Optimizer
from ultralytics.engine import trainer as ultralytics_trainer
from ultralytics.utils.metrics import DetMetrics

COMPILER = "torch._dynamo"
ANSWER = "__dynamo_disable"


@contextmanager
def seeds_alone() -> Iterator[None]:
    """Have Ultralytics set seeds and nothing else.

    It would also tell torch that algorithms need not be deterministic, which they need not be from the start.
    """
    theirs = ultralytics_trainer.init_seeds
    if not torch.are_deterministic_algorithms_enabled():
        ultralytics_trainer.init_seeds = _set_seeds
    try:
        yield
    finally:
        ultralytics_trainer.init_seeds = theirs


def _set_seeds(seed: int, deterministic: bool = False) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


@contextmanager
def optimizers_alone() -> Iterator[None]:
    """Have torch call the methods of its optimizers directly.

    It would ask the compiler for a version of them that is not compiled, which is the method itself, and keep
    the answer with the method. Here it finds that answer, unless the compiler is imported already.
    """
    methods = [getattr(method, "__wrapped__", None) for method in vars(Optimizer).values()]
    answered = [] if COMPILER in sys.modules else [method for method in methods if method is not None]
    for method in answered:
        setattr(method, ANSWER, method)
    try:
        yield
    finally:
        for method in answered:
            delattr(method, ANSWER)


def step_alone(optimizer: Optimizer) -> Optimizer:
    """The same optimizer, whose step is taken directly, without gradients of its own.

    It would tell the compiler where the step begins and ends.
    """
    step = torch.no_grad()(inspect.unwrap(type(optimizer).step))
    optimizer.step = MethodType(step, optimizer)  # type: ignore[method-assign]
    return optimizer


def metrics_alone() -> Any:
    """What a trainer wants of a validator before its first validation: the names of its metrics.

    A validator imports torchvision, which imports the compiler.
    """
    return SimpleNamespace(metrics=DetMetrics())
