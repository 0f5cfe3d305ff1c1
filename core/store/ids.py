"""Ids and digests: made here, never taken from a caller."""

import hashlib
import json
from typing import Any

from uuid6 import uuid7


def new_id(kind: str) -> str:
    """An id such as `run-0192f…`, unique and sorted by time of making.

    Args:
        kind: What it names: `batch`, `sample`, `run`, `ckpt`, `worker`.
    """
    return f"{kind}-{uuid7().hex}"


def canonical_digest(value: Any) -> str:
    """sha256, in hex, of the value's JSON with sorted keys and no spaces.

    Raises:
        ValueError: If the value holds NaN or infinity, which have no JSON.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
