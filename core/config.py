"""Settings of the product and the default hyperparameters, read once from the environment or `.env`.

Every setting is `TMS_<FIELD>`; the table in docs/operations.md lists them all and a test keeps it complete.
"""

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Self

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

CHECKOUT = Path(__file__).resolve().parent.parent
_ENVIRONMENT_FILE = CHECKOUT / ".env"
MIB = 1024 * 1024
GROUP_PATTERN = r"^(T\d+)_|^(.+)\.rf\."
"""Files named after their transformer, such as T10_faulty_002.jpg; and Roboflow's copies of one image."""


_SECRET = frozenset({"database_url", "blob_url"})
"""Settings whose value may hold a password: it is never shown."""


class DefaultHyperparameters(BaseSettings):
    """What a fine-tune uses for every hyperparameter that the caller leaves out.

    The values are those the replaced service shipped; one changes only with a benchmark that shows why.
    """

    model_config = SettingsConfigDict(env_prefix="TMS_DEFAULT_", env_file=_ENVIRONMENT_FILE, extra="ignore")

    epochs: int = Field(8, description="Passes over the mixed training set.")
    batch_size: int = Field(4, description="Images per optimizer step.")
    image_size: int = Field(640, description="Longer side of the training image, in pixels.")
    learning_rate: float = Field(1e-4, description="Peak learning rate.")
    weight_decay: float = Field(1e-4, description="L2 penalty on the weights.")
    momentum: float = Field(0.937, description="SGD momentum, or beta 1 of AdamW.")
    freeze: int = Field(10, description="Leading modules of the model that stay as they are.")
    train_replay: int = Field(0, description="Base images mixed into each epoch.")
    seed: int = Field(1337, description="Seed of every random choice of a run.")


_DEFAULTS = DefaultHyperparameters()
DEFAULT_EPOCHS = _DEFAULTS.epochs
DEFAULT_BATCH_SIZE = _DEFAULTS.batch_size
DEFAULT_IMAGE_SIZE = _DEFAULTS.image_size
DEFAULT_LEARNING_RATE = _DEFAULTS.learning_rate
DEFAULT_WEIGHT_DECAY = _DEFAULTS.weight_decay
DEFAULT_MOMENTUM = _DEFAULTS.momentum
DEFAULT_FREEZE = _DEFAULTS.freeze
DEFAULT_TRAIN_REPLAY = _DEFAULTS.train_replay
DEFAULT_SEED = _DEFAULTS.seed
LOWEST_CONFIDENCE = 0.25
"""What the champion is less sure of it does not say: the default of Ultralytics' `predict`."""
GAP_CONFIDENCE = 0.6
"""How sure it has to be of a box that is added where nobody drew one."""


class Settings(BaseSettings):
    """Where things are and what is allowed, for one process."""

    model_config = SettingsConfigDict(
        env_prefix="TMS_", env_file=_ENVIRONMENT_FILE, extra="ignore", frozen=True, env_ignore_empty=True
    )

    home: Path = Field(CHECKOUT, description="Root of all state: data, finetune_weight, logs, runs.")
    pretrained_weights: Path = Field(
        CHECKOUT.parent / "tms-fault-detection-model" / "weights" / "best.pt",
        description="Baseline weights, the first champion.",
    )
    annotated_dataset_root: Path = Field(
        CHECKOUT.parent / "Annotated_dataset",
        description="Base set in YOLO layout, with data.yaml.",
    )
    database_url: str = Field("", description="SQLAlchemy URL; empty is SQLite under data/.")
    blob_url: str = Field("", description="Folder or fsspec URL of the image store; empty is data/blobs.")
    image_hosts: str = Field(
        "", description="Comma-separated host or host:port list that may be fetched although private."
    )
    image_hosts_only: bool = Field(False, description="Fetch from the listed hosts alone.")
    webhook_hosts: str = Field(
        "", description="Comma-separated host or host:port list that webhooks may reach although private."
    )
    api_host: str = Field("127.0.0.1", description="Address the API listens on.")
    api_port: int = Field(8002, ge=1, le=65535, description="Port the API listens on.")
    device: str = Field("auto", description="Where runs train unless they say so: auto, cpu, 0, or 0,1.")
    image_max_bytes: int = Field(30 * MIB, gt=0, description="Largest download per image, in bytes.")
    image_max_pixels: int = Field(50_000_000, gt=0, description="Largest image, in pixels.")
    intake_policy: str = Field(
        "",
        description="Comma-separated code=policy list for findings of intake: quarantine, warn or accept.",
    )
    window_low_c: float | None = Field(
        None, description="Degrees Celsius that become black in 16-bit images; empty is by percentile."
    )
    window_high_c: float | None = Field(
        None, description="Degrees Celsius that become white in 16-bit images; empty is by percentile."
    )
    counts_scale: float = Field(0.04, gt=0, description="Degrees per count of a 16-bit image.")
    counts_offset_c: float = Field(-273.15, description="Degrees Celsius of count 0 of a 16-bit image.")
    fetch_deadline_s: float = Field(30.0, gt=0, description="Seconds one image may take, retries included.")
    fetch_concurrency: int = Field(16, ge=1, le=64, description="Images fetched at once.")
    import_max_bytes: int = Field(
        2048 * MIB,
        gt=0,
        description="Largest import, in bytes; unpacked it may have four times as many.",
    )
    holdout_share: float = Field(
        0.15, ge=0, lt=1, description="Share of feedback groups kept for judging from the 50th sample on."
    )
    regression_margin: float = Field(
        0.01,
        ge=0,
        le=1,
        description="mAP50-95 a candidate may lose on the base test set and still be published.",
    )
    retrain_samples: int = Field(
        0, ge=0, description="So many approved samples start a run by themselves; 0 is never."
    )
    retrain_days: float = Field(
        0.0,
        ge=0,
        le=3_650,
        description="So many days of an approved sample's waiting start a run; 0 is never.",
    )
    retrain_cooldown_hours: float = Field(
        24.0,
        ge=0,
        le=87_600,
        description="Hours between a run on all that was approved and one that starts by itself.",
    )
    class_regression_margin: float = Field(
        0.03, ge=0, le=1, description="AP50-95 a class may lose before the verdict is fail."
    )
    decay_budget: float = Field(
        0.02,
        ge=0,
        le=1,
        description="mAP50-95 that may be lost in all, against the best of the last champions and baseline.",
    )
    decay_champions: int = Field(
        5, ge=0, le=50, description="How many of the last champions a candidate is held against."
    )
    recall_floors: str = Field(
        "", description="Recall that a candidate must keep: class=share pairs, separated by semicolons."
    )
    class_weights: str = Field(
        "normal=0.2",
        description="How much errors of a class matter: class=weight pairs, separated by semicolons; else 1.",
    )
    deploy_confidence: float = Field(
        0.25, gt=0, lt=1, description="Confidence from which on a detection counts where the model is in use."
    )
    base_group_pattern: str = Field(
        GROUP_PATTERN,
        description="Regular expression whose groups find, in a base image's file name, what it shows.",
    )
    keep_runs: int = Field(
        1, ge=1, le=100_000, description="Ended runs whose training artefacts are kept, the newest."
    )
    keep_checkpoints: int = Field(
        20,
        ge=1,
        le=100_000,
        description="Newest checkpoints that are kept besides those that were live.",
    )
    warm_runner: bool = Field(
        True, description="The worker keeps a spare runner ready, so that a run starts at once."
    )
    worker_autostart: bool = Field(
        True, description="API and dashboard start a local worker when none is alive."
    )

    admins: str = Field(
        "", description="Comma-separated e-mail addresses of those who may change keys on the dashboard."
    )

    @field_validator("home", "pretrained_weights", "annotated_dataset_root")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        return path.expanduser().absolute()

    @field_validator("base_group_pattern")
    @classmethod
    def _a_pattern(cls, pattern: str) -> str:
        try:
            group_count = re.compile(pattern).groups
        except re.error as error:
            raise ValueError(f"it is no regular expression: {error}") from error
        if not group_count:
            raise ValueError("it needs a group in parentheses, such as ^(T\\d+)_")
        return pattern

    @field_validator("recall_floors")
    @classmethod
    def _shares(cls, text: str) -> str:
        if any(share > 1 for share in _by_class(text).values()):
            raise ValueError("a recall is a share from 0 to 1")
        return text

    @field_validator("class_weights")
    @classmethod
    def _weights(cls, text: str) -> str:
        _by_class(text)
        return text

    @property
    def recall_floor_by_class(self) -> dict[str, float]:
        """Recall that a candidate must keep, from 0 to 1, by class name."""
        return _by_class(self.recall_floors)

    @property
    def weight_by_class(self) -> dict[str, float]:
        """How much errors of a class matter, by class name."""
        return _by_class(self.class_weights)

    @property
    def data_dir(self) -> Path:
        """Run-time state that has no folder of its own."""
        return self.home / "data"

    @property
    def weights_dir(self) -> Path:
        """Published weights and every checkpoint."""
        return self.home / "finetune_weight"

    @property
    def logs_dir(self) -> Path:
        """One log per run, and those of API and worker."""
        return self.home / "logs"

    @property
    def runs_dir(self) -> Path:
        """One folder of training artefacts per run."""
        return self.home / "runs"

    def run_folder(self, run_id: str) -> Path:
        """Training artefacts of one run."""
        return self.runs_dir / run_id

    def dataset_folder(self, run_id: str) -> Path:
        """The dataset revision of one run, as files."""
        return self.run_folder(run_id) / "dataset"

    def log_path(self, run_id: str) -> Path:
        """Log of one run."""
        return self.logs_dir / f"{run_id}.log"

    @property
    def demo_dir(self) -> Path:
        """Demo base set, baseline and feedback."""
        return self.data_dir / "demo"

    @property
    def database(self) -> str:
        """SQLAlchemy URL of the database in force."""
        return self.database_url or f"sqlite:///{self.data_dir / 'tms.sqlite'}"

    @property
    def blobs(self) -> str:
        """fsspec URL of the image store in force."""
        return self.blob_url or str(self.data_dir / "blobs")

    @property
    def is_demo(self) -> bool:
        """Whether neither baseline nor base set is configured, so that the demo stands in for both."""
        configured = {"pretrained_weights", "annotated_dataset_root"} & self.model_fields_set
        return not (configured or self.pretrained_weights.exists() or self.annotated_dataset_root.exists())

    @property
    def baseline_path(self) -> Path:
        """Weights of the baseline in force."""
        return self.demo_dir / "baseline.pt" if self.is_demo else self.pretrained_weights

    @property
    def base_set_root(self) -> Path:
        """Folder of the base set in force."""
        return self.demo_dir / "base_set" if self.is_demo else self.annotated_dataset_root

    @property
    def allowed_image_hosts(self) -> frozenset[str]:
        """Hosts that may be fetched although private; the API itself too while it serves the demo images."""
        demo = {f"127.0.0.1:{self.api_port}", f"localhost:{self.api_port}"} if self.is_demo else set()
        return _listed(self.image_hosts) | demo

    @property
    def allowed_webhook_hosts(self) -> frozenset[str]:
        """Hosts that webhooks may reach although private."""
        return _listed(self.webhook_hosts)

    @property
    def admin_emails(self) -> frozenset[str]:
        """Those who may change keys on the dashboard once people sign in to it, in small letters."""
        return _listed(self.admins)

    @property
    def blob_cache_dir(self) -> Path:
        """What was fetched from a blob store elsewhere."""
        return self.data_dir / "blob_cache"

    def environment(self) -> dict[str, str]:
        """These settings as `TMS_*` variables, for a child process."""
        values = self.model_dump(mode="json", include=self.model_fields_set)
        return {f"TMS_{name.upper()}": str(value) for name, value in values.items()}

    def create_folders(self) -> Self:
        """Make the folders of all state and return the settings."""
        for folder in (self.data_dir, self.weights_dir, self.logs_dir, self.runs_dir):
            folder.mkdir(parents=True, exist_ok=True)
        return self


@dataclass(frozen=True)
class SettingInForce:
    """A setting as it may be shown to anybody.

    Attributes:
        name: Of the environment variable.
        value: As text; of a secret only `set` or `not set`.
        is_default: Whether neither environment nor `.env` says it.
        sentence: What it is for.
    """

    name: str
    value: str
    is_default: bool
    sentence: str


def in_force(settings: Settings) -> list[SettingInForce]:
    """Every setting of this process, and after them what a request leaves out."""
    return [*_in_force("TMS_", settings), *_in_force("TMS_DEFAULT_", _DEFAULTS)]


def _in_force(prefix: str, values: BaseSettings) -> list[SettingInForce]:
    return [
        SettingInForce(
            f"{prefix}{name.upper()}",
            _shown(name, getattr(values, name)),
            name not in values.model_fields_set,
            field.description or "",
        )
        for name, field in type(values).model_fields.items()
    ]


def _shown(name: str, value: object) -> str:
    if name in _SECRET:
        return "set" if value else "not set"
    if value is None:
        return ""
    return str(int(value) if isinstance(value, bool) else value)


def _by_class(text: str) -> dict[str, float]:
    """Numbers by class name, from `hot joint=0.8; normal=0.2`.

    Raises:
        ValueError: If it is something else, or a number is below 0.
    """
    numbers = {}
    for pair in filter(str.strip, text.split(";")):
        name, _, number = pair.rpartition("=")
        numbers[name.strip()] = float(number)
        if not name.strip() or not 0 <= numbers[name.strip()] < math.inf:
            raise ValueError(f"'{pair.strip()}' is not a class name, = and a number from 0 up")
    return numbers


def _listed(names: str) -> frozenset[str]:
    return frozenset(name.strip().lower() for name in names.split(",") if name.strip())


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The settings of this process, read from the environment once."""
    return Settings()
