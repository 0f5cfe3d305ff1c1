"""What Ultralytics would do to the process around it."""

import io

import pytest
from PIL import Image, UnidentifiedImageError

pytestmark = pytest.mark.slow


def test_pillow_opens_files_its_own_way(bench):
    assert Image.open.__module__ == "PIL.Image"
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(b"no image"))


def test_nobody_is_called_and_nothing_is_installed(bench):
    from ultralytics.utils import AUTOINSTALL, LOGGER, ONLINE, SETTINGS
    from ultralytics.utils.events import events

    assert [ONLINE, AUTOINSTALL, events.enabled, LOGGER.propagate] == [False] * 4
    integrations = ("sync", "hub", "mlflow", "wandb", "tensorboard", "platform")
    assert not any(SETTINGS.get(name) for name in integrations)
