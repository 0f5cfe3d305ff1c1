"""Settings: each from the environment and from `.env`, and when the demo stands in."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from core.config import CHECKOUT, DefaultHyperparameters, Settings, get_settings, in_force
from tests.factories import make_settings

ABSOLUTE = Path(__file__).absolute().parent
SET: dict[str, tuple[str, Any]] = {
    "home": (str(ABSOLUTE), ABSOLUTE),
    "pretrained_weights": (str(ABSOLUTE / "best.pt"), ABSOLUTE / "best.pt"),
    "annotated_dataset_root": (str(ABSOLUTE / "set"), ABSOLUTE / "set"),
    "database_url": ("postgresql+psycopg://h/db", "postgresql+psycopg://h/db"),
    "blob_url": ("s3://bucket/images", "s3://bucket/images"),
    "image_hosts": ("a.example, b.example:81", "a.example, b.example:81"),
    "image_hosts_only": ("1", True),
    "webhook_hosts": ("hooks.example, b.example:81", "hooks.example, b.example:81"),
    "admins": ("Ada@example.org, bo@example.org", "Ada@example.org, bo@example.org"),
    "api_host": ("0.0.0.0", "0.0.0.0"),
    "api_port": ("9000", 9000),
    "device": ("0,1", "0,1"),
    "image_max_bytes": ("1000", 1000),
    "image_max_pixels": ("2000", 2000),
    "fetch_deadline_s": ("2.5", 2.5),
    "fetch_concurrency": ("3", 3),
    "intake_policy": ("box_outside=warn", "box_outside=warn"),
    "window_low_c": ("-5", -5.0),
    "window_high_c": ("120", 120.0),
    "counts_scale": ("0.01", 0.01),
    "counts_offset_c": ("-100", -100.0),
    "import_max_bytes": ("4000", 4000),
    "holdout_share": ("0.2", 0.2),
    "regression_margin": ("0.02", 0.02),
    "retrain_samples": ("50", 50),
    "retrain_days": ("7", 7.0),
    "retrain_cooldown_hours": ("0.5", 0.5),
    "class_regression_margin": ("0.05", 0.05),
    "decay_budget": ("0.04", 0.04),
    "decay_champions": ("3", 3),
    "recall_floors": ("loose joint=0.8", "loose joint=0.8"),
    "class_weights": ("loose joint=3; normal=0.1", "loose joint=3; normal=0.1"),
    "deploy_confidence": ("0.4", 0.4),
    "base_group_pattern": ("^(\\d+)-", "^(\\d+)-"),
    "keep_runs": ("3", 3),
    "keep_checkpoints": ("50", 50),
    "warm_runner": ("0", False),
    "worker_autostart": ("0", False),
}
SET_DEFAULTS: dict[str, tuple[str, Any]] = {
    "epochs": ("3", 3),
    "batch_size": ("2", 2),
    "image_size": ("320", 320),
    "learning_rate": ("0.001", 0.001),
    "weight_decay": ("0.0005", 0.0005),
    "momentum": ("0.9", 0.9),
    "freeze": ("0", 0),
    "train_replay": ("24", 24),
    "seed": ("7", 7),
}


def test_every_setting_is_tried_here() -> None:
    assert set(SET) == set(Settings.model_fields)
    assert set(SET_DEFAULTS) == set(DefaultHyperparameters.model_fields)


@pytest.mark.parametrize("name", SET)
def test_a_setting_comes_from_the_environment(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text, value = SET[name]
    assert getattr(Settings(_env_file=None), name) != value
    monkeypatch.setenv(f"TMS_{name.upper()}", text)
    assert getattr(Settings(_env_file=None), name) == value


@pytest.mark.parametrize("name", SET)
def test_a_setting_comes_from_a_file(name: str, tmp_path: Path) -> None:
    text, value = SET[name]
    file = tmp_path / ".env"
    file.write_text(f"# a comment\nUNRELATED=1\nTMS_{name.upper()}={text}\n", encoding="utf-8")
    assert getattr(Settings(_env_file=file), name) == value


@pytest.mark.parametrize("name", SET_DEFAULTS)
def test_a_default_comes_from_the_environment(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text, value = SET_DEFAULTS[name]
    assert getattr(DefaultHyperparameters(_env_file=None), name) != value
    monkeypatch.setenv(f"TMS_DEFAULT_{name.upper()}", text)
    assert getattr(DefaultHyperparameters(_env_file=None), name) == value


def test_a_default_of_the_environment_reaches_the_request() -> None:
    code = (
        "from core.schemas import Hyperparameters; from core.config import DEFAULT_EPOCHS;"
        "print(Hyperparameters().epochs, DEFAULT_EPOCHS, Hyperparameters().learning_rate)"
    )
    environment = os.environ | {"TMS_DEFAULT_EPOCHS": "3", "TMS_DEFAULT_LEARNING_RATE": "0.002"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=CHECKOUT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["3", "3", "0.002"]


def test_the_defaults_are_those_the_replaced_service_shipped() -> None:
    assert DefaultHyperparameters(_env_file=None).model_dump() == {
        "epochs": 8,
        "batch_size": 4,
        "image_size": 640,
        "learning_rate": 1e-4,
        "weight_decay": 1e-4,
        "momentum": 0.937,
        "freeze": 10,
        "train_replay": 0,
        "seed": 1337,
    }


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("TMS_API_PORT=9001\nTMS_DEVICE=cpu\n", encoding="utf-8")
    monkeypatch.setenv("TMS_API_PORT", "9002")
    settings = Settings(_env_file=tmp_path / ".env")
    assert (settings.api_port, settings.device) == (9002, "cpu")


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SET:
        monkeypatch.setenv(f"TMS_{name.upper()}", "")
    assert Settings(_env_file=None).model_fields_set == set()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("api_port", "0"),
        ("api_port", "eight"),
        ("image_max_bytes", "-1"),
        ("image_max_pixels", "0"),
        ("fetch_deadline_s", "0"),
        ("fetch_concurrency", "1000"),
        ("holdout_share", "1"),
        ("regression_margin", "2"),
        ("recall_floors", "loose joint=80"),
        ("recall_floors", "loose joint"),
        ("recall_floors", "=0.5"),
        ("class_weights", "loose joint=-1"),
        ("class_weights", "loose joint=inf"),
        ("class_weights", "loose joint=much"),
        ("base_group_pattern", "^(T"),
        ("base_group_pattern", "no group"),
        ("image_hosts_only", "perhaps"),
    ],
)
def test_a_senseless_setting_is_named(name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"TMS_{name.upper()}", text)
    with pytest.raises(ValidationError, match=name):
        Settings(_env_file=None)


def test_numbers_by_class_are_read_from_pairs() -> None:
    settings = Settings(_env_file=None, recall_floors=" Loose Joint -Faulty=0.8 ; a=b=0.5;", class_weights="")
    assert settings.recall_floor_by_class == {"Loose Joint -Faulty": 0.8, "a=b": 0.5}
    assert (settings.weight_by_class, Settings(_env_file=None).weight_by_class) == ({}, {"normal": 0.2})


def test_settings_can_be_remembered_by() -> None:
    assert hash(Settings(_env_file=None)) == hash(Settings(_env_file=None))


def test_settings_reach_a_child_process_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {name: value for name, (_, value) in SET.items()}
    settings = Settings(_env_file=None, **given)
    for name, text in settings.environment().items():
        monkeypatch.setenv(name, text)
    assert Settings(_env_file=None) == settings


def test_a_child_of_the_demo_is_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = unset(tmp_path, home=tmp_path)
    for name, text in settings.environment().items():
        monkeypatch.setenv(name, text)
    assert "TMS_PRETRAINED_WEIGHTS" not in os.environ
    assert unset(tmp_path).is_demo


def test_paths_are_absolute_and_know_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "me"))
    settings = Settings(_env_file=None, home=Path("state"), pretrained_weights=Path("~/best.pt"))
    assert settings.home == tmp_path / "state"
    assert settings.pretrained_weights == tmp_path / "me" / "best.pt"


def test_all_state_lies_under_home(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    assert settings.database == f"sqlite:///{tmp_path / 'data' / 'tms.sqlite'}"
    assert settings.blobs == str(tmp_path / "data" / "blobs")
    folders = (
        settings.data_dir,
        settings.weights_dir,
        settings.logs_dir,
        settings.runs_dir,
        settings.demo_dir,
    )
    assert all(folder.is_relative_to(tmp_path) for folder in folders)


def test_the_configured_stores_are_in_force(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, database_url="postgresql+psycopg://h/db", blob_url="s3://b/i")
    assert (settings.database, settings.blobs) == ("postgresql+psycopg://h/db", "s3://b/i")


def unset(folder: Path, **given: Any) -> Settings:
    """Settings that name neither baseline nor base set, and look for them in a folder."""

    class Elsewhere(Settings):
        pretrained_weights: Path = folder / "best.pt"
        annotated_dataset_root: Path = folder / "Annotated_dataset"

    return Elsewhere(_env_file=None, **given)


def test_without_baseline_and_base_set_the_demo_stands_in(tmp_path: Path) -> None:
    settings = unset(tmp_path, home=tmp_path, api_port=9100)
    assert settings.is_demo
    assert settings.baseline_path == tmp_path / "data" / "demo" / "baseline.pt"
    assert settings.base_set_root == tmp_path / "data" / "demo" / "base_set"
    assert settings.allowed_image_hosts == {"127.0.0.1:9100", "localhost:9100"}


@pytest.mark.parametrize("there", ["best.pt", "Annotated_dataset"])
def test_what_is_there_is_used_and_the_other_not_replaced(tmp_path: Path, there: str) -> None:
    (tmp_path / there).mkdir()
    settings = unset(tmp_path, home=tmp_path)
    assert not settings.is_demo
    assert settings.baseline_path == tmp_path / "best.pt"
    assert settings.base_set_root == tmp_path / "Annotated_dataset"
    assert settings.allowed_image_hosts == set()


@pytest.mark.parametrize("name", ["pretrained_weights", "annotated_dataset_root"])
def test_what_is_configured_and_missing_is_not_replaced_by_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(f"TMS_{name.upper()}", str(tmp_path / "not there"))
    assert not Settings(_env_file=None).is_demo


def test_the_list_of_hosts(tmp_path: Path) -> None:
    listed = " A.example ,, 10.0.0.5:9000,"
    settings = make_settings(tmp_path, image_hosts=listed, webhook_hosts=listed)
    expected = {"a.example", "10.0.0.5:9000"}
    assert settings.allowed_image_hosts == settings.allowed_webhook_hosts == expected


def test_the_process_reads_its_settings_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first = get_settings()
    monkeypatch.setenv("TMS_API_PORT", "9003")
    assert get_settings() is first


def test_every_setting_says_what_it_is() -> None:
    for model in (Settings, DefaultHyperparameters):
        assert [name for name, field in model.model_fields.items() if not field.description] == []


def test_the_settings_in_force_say_where_they_come_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMS_KEEP_RUNS", "3")
    monkeypatch.setenv("TMS_WARM_RUNNER", "0")
    settings = Settings(_env_file=None, home=tmp_path)
    shown = {one.name: one for one in in_force(settings)}
    told = {name: (shown[name].value, shown[name].is_default) for name in shown}
    assert told["TMS_KEEP_RUNS"] == ("3", False)
    assert told["TMS_WARM_RUNNER"] == ("0", False)
    assert told["TMS_KEEP_CHECKPOINTS"] == ("20", True)
    assert told["TMS_WINDOW_LOW_C"] == ("", True)
    assert told["TMS_DEFAULT_LEARNING_RATE"] == ("0.0001", True)
    assert shown["TMS_DEVICE"].sentence == Settings.model_fields["device"].description


def test_of_a_secret_only_that_it_is_set_is_shown(tmp_path: Path) -> None:
    url = "postgresql+psycopg://tms:swordfish@db/tms"
    settings = make_settings(tmp_path, database_url=url, blob_url="s3://key:swordfish@bucket")
    shown = in_force(settings)
    assert "swordfish" not in repr(shown)
    told = {one.name: one.value for one in shown}
    assert (told["TMS_DATABASE_URL"], told["TMS_BLOB_URL"]) == ("set", "set")
    assert {one.name: one.value for one in in_force(make_settings(tmp_path))}["TMS_BLOB_URL"] == "not set"


def test_what_could_hold_a_secret_by_its_name_is_one(tmp_path: Path) -> None:
    """A new setting with such a name has to be listed as secret in core/config.py."""
    telling = re.compile("url|secret|password|token|key|credential")
    told = {one.name.lower(): one.value for one in in_force(make_settings(tmp_path))}
    named = [name for name in told if telling.search(name)]
    assert named
    assert {told[name] for name in named} <= {"set", "not set"}


def test_admins_are_known_in_any_case(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, admins="Ada@Example.org, bo@example.org")
    assert settings.admin_emails == {"ada@example.org", "bo@example.org"}
