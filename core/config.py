"""Settings of the product and the default hyperparameters, read once from the environment or `.env`.

Every setting is `TMS_<FIELD>`; the table in docs/operations.md lists them all and a test keeps it complete.
"""

from functools import lru_cache
from pathlib import Path
from typing import Self

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

CHECKOUT = Path(__file__).resolve().parent.parent
_ENVIRONMENT_FILE = CHECKOUT / ".env"
MIB = 1024 * 1024


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
    fetch_deadline_s: float = Field(30.0, gt=0, description="Seconds one image may take, retries included.")
    fetch_concurrency: int = Field(16, ge=1, le=64, description="Images fetched at once.")
    holdout_share: float = Field(
        0.15, ge=0, lt=1, description="Share of feedback groups kept for judging from the 50th sample on."
    )
    regression_margin: float = Field(
        0.01,
        ge=0,
        le=1,
        description="mAP50-95 a candidate may lose on the base test set and still be published.",
    )
    warm_runner: bool = Field(
        True, description="The worker keeps a spare runner ready, so that a run starts at once."
    )
    worker_autostart: bool = Field(
        True, description="API and dashboard start a local worker when none is alive."
    )

    @field_validator("home", "pretrained_weights", "annotated_dataset_root")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        return path.expanduser().absolute()

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
        return _hosts_in(self.image_hosts) | demo

    @property
    def allowed_webhook_hosts(self) -> frozenset[str]:
        """Hosts that webhooks may reach although private."""
        return _hosts_in(self.webhook_hosts)

    def environment(self) -> dict[str, str]:
        """These settings as `TMS_*` variables, for a child process."""
        values = self.model_dump(mode="json", include=self.model_fields_set)
        return {f"TMS_{name.upper()}": str(value) for name, value in values.items()}

    def create_folders(self) -> Self:
        """Make the folders of all state and return the settings."""
        for folder in (self.data_dir, self.weights_dir, self.logs_dir, self.runs_dir):
            folder.mkdir(parents=True, exist_ok=True)
        return self


def _hosts_in(listed: str) -> frozenset[str]:
    return frozenset(host.strip().lower() for host in listed.split(",") if host.strip())


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The settings of this process, read from the environment once."""
    return Settings()
