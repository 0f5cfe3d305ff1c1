"""Fine-tune loop for a YOLO thermal-fault detector: both doors, dashboard and API, come in here.

`FineTuneRequest` says what to learn, `run_finetune` learns it without any server.
"""

from core.schemas import FineTuneRequest, FineTuneSummary
from core.trainer import run_finetune

__version__ = "0.1.0"

__all__ = ["FineTuneRequest", "FineTuneSummary", "run_finetune"]
