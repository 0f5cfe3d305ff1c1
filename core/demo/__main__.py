"""`python -m core.demo` writes `examples/finetune.json` anew, for when scenes or settings have changed."""

import json

from core.config import CHECKOUT
from core.demo.feedback import build_payload

(CHECKOUT / "examples" / "finetune.json").write_text(
    json.dumps(build_payload(), indent=2) + "\n", encoding="utf-8"
)
