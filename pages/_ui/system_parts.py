"""The parts of the System screen."""

from core.store import Store
from pages._ui import parts, system_bundle, system_hosts, system_keys, system_settings, system_storage

_PARTS = {
    "hosts": "Hosts",
    "storage": "Storage",
    "keys": "API keys",
    "settings": "Settings",
    "diagnostics": "Diagnostics",
}
_DRAWN_BY = {
    "hosts": system_hosts.draw,
    "storage": system_storage.draw,
    "keys": system_keys.draw,
    "settings": system_settings.draw,
    "diagnostics": system_bundle.draw,
}


def draw(store: Store) -> None:
    """The choice of a part, and the part."""
    _DRAWN_BY[parts.choose("system_part", _PARTS)](store)
