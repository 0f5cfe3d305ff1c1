"""Uploads: what is handed in, and what an address of the kind `blob:` may reach."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from core.errors import PayloadTooLarge
from core.feedback import uploads
from core.feedback.approved import approved_samples
from core.feedback.download import Downloader
from core.feedback.intake import quarantined, record_batch, take_in
from core.feedback.reasons import Refusal
from core.store import Store
from core.store.tables import Upload
from tests.factories import CLASS_NAMES, image, make_settings, request, thermal_file


def fetched(store: Store, address: str) -> bytes:
    with Downloader(store.settings) as downloader:
        return uploads.fetch(store, downloader, address)


def rows(store: Store) -> list[Upload]:
    with store.database.read() as session:
        return list(session.scalars(sa.select(Upload)))


def test_what_is_handed_in_is_read_under_its_address(any_store: Store) -> None:
    content = thermal_file()
    address = uploads.keep(any_store, content, "feed-1")
    assert uploads.keep(any_store, content, "feed-2") == address
    assert fetched(any_store, address) == content
    (upload,) = rows(any_store)
    assert (address, upload.actor, upload.size_bytes) == (f"blob:{upload.sha256}", "feed-1", len(content))


def test_many_may_hand_in_the_same_at_once(any_store: Store) -> None:
    with ThreadPoolExecutor(4) as pool:
        addresses = set(pool.map(lambda _: uploads.keep(any_store, thermal_file(), "feed"), range(8)))
    assert len(addresses) == len(rows(any_store)) == 1


def test_what_is_larger_than_a_download_may_be_is_refused(tmp_path: Path) -> None:
    with Store.open(make_settings(tmp_path, image_max_bytes=10)) as store:
        uploads.keep(store, b"0123456789", "feed")
        with pytest.raises(PayloadTooLarge, match="TMS_IMAGE_MAX_BYTES"):
            uploads.keep(store, b"0123456789a", "feed")
        assert len(rows(store)) == 1


@pytest.mark.parametrize("address", ["blob:", "blob:../../weights", f"blob:{'a' * 64}", f"blob:{'a' * 2000}"])
def test_an_unknown_upload_is_refused(store: Store, address: str) -> None:
    with pytest.raises(Refusal) as caught:
        fetched(store, address)
    assert caught.value.code == "fetch_unknown_upload"


def test_other_blobs_are_not_given_out(store: Store) -> None:
    weights = store.blobs.put(b"weights of a checkpoint", "the weights")
    with pytest.raises(Refusal) as caught:
        fetched(store, f"blob:{weights}")
    assert caught.value.code == "fetch_unknown_upload"


def test_an_upload_that_is_lost_is_mended_by_handing_it_in_again(store: Store) -> None:
    address = uploads.keep(store, thermal_file(), "feed")
    store.blobs.delete(address.removeprefix("blob:"))
    with pytest.raises(Refusal, match="missing"):
        fetched(store, address)
    assert fetched(store, uploads.keep(store, thermal_file(), "feed")) == thermal_file()


def test_uploads_go_through_intake_like_downloads(any_store: Store) -> None:
    good = uploads.keep(any_store, thermal_file(1), "feed")
    broken = uploads.keep(any_store, b"GIF89a", "feed")
    posted = request(image(good), image(broken), image(f"blob:{'0' * 64}"))
    with any_store.database.write() as session:
        batch_id = record_batch(session, posted, source="api", actor="feed").id
    take_in(
        any_store,
        batch_id,
        class_names=CLASS_NAMES,
        judging={},
        champion_id=None,
        on_progress=lambda done, total: None,
    )
    (sample,) = approved_samples(any_store, batch_id)
    assert f"blob:{sample.blob_sha256}" == good
    assert [one.code for one in quarantined(any_store, batch_id)] == [
        "decode_unsupported",
        "fetch_unknown_upload",
    ]
