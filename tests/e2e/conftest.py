"""A small product of one's own: tiny weights, a base set, and feedback served over loopback."""

from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import copyfile

import pytest
from pytest_httpserver import HTTPServer

from core.config import Settings
from core.schemas import FineTuneRequest
from tests.factories import detection, image, make_settings, request, thermal_file, write_base_set
from tests.processes import end_processes_of
from tests.weights import write_tiny_weights

MakeRequest = Callable[..., FineTuneRequest]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each module is one process' work: what its tests share is made once."""
    for item in items:
        if "tests/e2e" in item.path.as_posix():
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small real weights, to be copied."""
    home = tmp_path_factory.mktemp("tiny")
    return write_tiny_weights(home / "tiny.pt", make_settings(home).create_folders())


@pytest.fixture
def product(tmp_path: Path, httpserver: HTTPServer, tiny_weights: Path) -> Iterator[Settings]:
    """Settings of a product with tiny weights and a base set; its workers are ended with the test."""
    settings = make_settings(
        tmp_path,
        image_hosts=f"localhost:{httpserver.port}",
        device="cpu",
        worker_autostart=True,
        # It would cost each test the seconds in which it gets ready; tests of the spare switch it on.
        warm_runner=False,
        # Longer than any test: none is to end otherwise because the machine is busy.
        fetch_deadline_s=3600.0,
    )
    copyfile(tiny_weights, settings.create_folders().pretrained_weights)
    write_base_set(settings.annotated_dataset_root)
    yield settings
    end_processes_of(settings.home)


@pytest.fixture
def feedback(httpserver: HTTPServer) -> MakeRequest:
    """Makes a request over `count` images that the test serves itself; two epochs unless asked otherwise."""

    def make(count: int = 3, **changes: object) -> FineTuneRequest:
        urls = [httpserver.url_for(f"/{number}.png") for number in range(count)]
        for number in range(count):
            content = thermal_file(seed=7_000 + number)
            httpserver.expect_request(f"/{number}.png").respond_with_data(content, content_type="image/png")
        images = [image(url, detection((8, 8, 40, 40), number % 3)) for number, url in enumerate(urls)]
        asked = {"epochs": 2, "batch_size": 2, "image_size": 64, "train_replay": 2, "freeze": 0} | changes
        return request(*images, **asked)

    return make
