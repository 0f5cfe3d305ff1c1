"""An inference service that takes up each new champion while it runs: `python examples/hot_reload.py`.

It asks the fine-tuning API what is live, fetches new weights into a file of its own, loads them beside the
old ones, and only then lets go of those. docs/serving.md explains it. It needs nothing but Python; loading is
left to what you serve with.
"""

import argparse
import hashlib
import json
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

CHUNK_BYTES = 1024 * 1024
TIMEOUT_S = 30
SIGN_OF_LIFE_S = 300


class Champion:
    """The model that is live, loaded; `model` is always a whole one."""

    def __init__(
        self, api: str, load: Callable[[Path], Any], folder: Path, key: str = "", service: str = "inference"
    ) -> None:
        """Take what is needed to follow.

        Args:
            api: Address of the fine-tuning API, such as `http://127.0.0.1:8002`.
            load: Makes a model of a weights file; what it raises keeps the old model.
            folder: Where weights are kept.
            key: An API key of the scope `feed`, if the API has keys.
            service: The name under which this service acknowledges.
        """
        self._api, self._load, self._folder, self._service = api.rstrip("/"), load, folder, service
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._etag = ""
        self.model: Any = None
        self.manifest: dict[str, Any] = {}

    def look(self) -> bool:
        """Ask once what is live, and load it if it is new; call it every few seconds.

        Returns:
            Whether another model is served now.

        Raises:
            OSError: If the API does not answer, or weights arrive damaged. The old model is served on.
        """
        try:
            with self._open("/api/model", {"If-None-Match": self._etag}) as answer:
                manifest, etag = json.load(answer), answer.headers["ETag"]
        except urllib.error.HTTPError as error:
            if error.code == 304:
                return False
            raise
        is_new = manifest["sha256"] != self.manifest.get("sha256")
        if is_new:
            # The old model answers until this one is whole.
            self.model = self._load(self._fetched(manifest["sha256"]))
        self.manifest, self._etag = manifest, etag
        self.acknowledge()
        return is_new

    def acknowledge(self) -> None:
        """Tell the API which weights are served here: after each load, and now and then as a sign of life."""
        body = json.dumps({"sha256": self.manifest["sha256"], "service": self._service}).encode()
        self._open("/api/model/ack", {"Content-Type": "application/json"}, body).close()

    def _fetched(self, sha256: str) -> Path:
        """The weights with this digest; a download that broke off before goes on where it stopped."""
        path, partial = self._folder / f"{sha256}.pt", self._folder / f"{sha256}.partial"
        if path.exists():
            return path
        self._folder.mkdir(parents=True, exist_ok=True)
        with partial.open("ab") as file:
            self._download(sha256, file)
        if _sha256_of(partial) != sha256:
            partial.unlink()
            raise OSError("the weights arrived damaged, or another champion came in between: ask again")
        os.replace(partial, path)
        return path

    def _download(self, sha256: str, file: Any) -> None:
        part = {"Range": f"bytes={file.tell()}-", "If-Range": f'"{sha256}"'} if file.tell() else {}
        try:
            answer = self._open("/api/model/weights", part)
        except urllib.error.HTTPError as error:
            if error.code == 416:
                return
            raise
        with answer:
            if answer.status != 206:
                file.truncate(0)
            while chunk := answer.read(CHUNK_BYTES):
                file.write(chunk)

    def _open(self, path: str, headers: dict[str, str], body: bytes | None = None) -> Any:
        request = urllib.request.Request(self._api + path, data=body, headers={**self._headers, **headers})  # noqa: S310
        return urllib.request.urlopen(request, timeout=TIMEOUT_S)  # noqa: S310 - the operator's own address


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main() -> None:
    """Follow the champion and say so; put your own serving in the place of the prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--api", default="http://127.0.0.1:8002")
    parser.add_argument("--folder", type=Path, default=Path("served_weights"))
    parser.add_argument("--service", default="inference")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two looks")
    asked = parser.parse_args()

    from ultralytics import YOLO

    key = os.environ.get("TMS_API_KEY", "")
    champion = Champion(asked.api, YOLO, asked.folder, key=key, service=asked.service)
    quiet_s = 0.0
    while True:
        try:
            if champion.look():
                print(f"serving {champion.manifest['id']}", flush=True)
            elif quiet_s >= SIGN_OF_LIFE_S:
                champion.acknowledge()
                quiet_s = 0.0
        except OSError as error:
            print(f"still serving {champion.manifest.get('id')}: {error}", flush=True)
        threading.Event().wait(asked.every)
        quiet_s += asked.every


if __name__ == "__main__":
    main()
