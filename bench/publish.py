"""Whether publishing can be torn: `python -m bench.publish`.

Small real detectors are promoted and rolled back two thousand times while readers load the published file all
the time, each in a process of its own. Then a roll back is timed over HTTP, and a publication is killed with
SIGKILL at each line of code that it runs through: what is left has to be mended by the next start.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import requests

from bench.publish_kills import Kills, kill_everywhere
from bench.publish_readers import Reading, reading
from bench.report import conclude
from core.config import CHECKOUT, Settings
from core.registry import checkpoints, promotion, proof, publish
from core.store import Store
from core.store.tables import Checkpoint
from tests.api.product import api_process
from tests.factories import CLASS_NAMES, make_settings
from tests.processes import free_port
from tests.weights import write_weights

MOST_VISIBLE_S = 1.0
CHAMPIONS = 4
ROLLBACKS_OVER_HTTP = 20
_WIDTH = 0.05
_BY = {"actor": "bench", "reason": "to see whether it holds"}
"""
"""


def main() -> int:
    return 0
