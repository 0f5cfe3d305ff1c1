"""Fine-tune loop for a YOLO thermal-fault detector: both doors, dashboard and API, come in here.

`FineTuneRequest` says what to learn, `run_finetune` learns it without any server.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from core.schemas import FineTuneRequest, FineTuneSummary
    from core.trainer import run_finetune

__all__ = ["FineTuneRequest", "FineTuneSummary", "run_finetune"]


def __getattr__(name: str) -> Any:
    # On demand, because every room imports this one first and hardly any needs the whole way of a batch.
    if name == "run_finetune":
        from core.trainer import run_finetune

        return run_finetune
    if name in __all__:
        from core import schemas

        return getattr(schemas, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
