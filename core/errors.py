"""Every error a caller can see, each with a stable code.

    TmsError
    ├── InvalidRequest            invalid_request             422
    ├── IdempotencyConflict       idempotency_conflict        422
    ├── NoUsableImages            no_usable_images            422
    ├── NothingApproved           nothing_approved            409
    ├── UnusableImage             unusable_image              422
    ├── BoxesRefused              boxes_refused               422
    ├── NotFound                  not_found                   404
    ├── NotRepairable             not_repairable              409
    ├── Unauthorized              unauthorized                401
    ├── Forbidden                 forbidden                   403
    ├── HostRefused               host_refused                421
    ├── MethodNotAllowed          method_not_allowed          405
    ├── RangeRefused              range_refused               416
    ├── PayloadTooLarge           payload_too_large           413
    ├── StaleSample               stale_sample                409
    ├── SampleNotReviewable       sample_not_reviewable       409
    ├── NothingToUndo             nothing_to_undo             409
    ├── RunCancelled              run_cancelled               409
    ├── RunEnded                  run_ended                   409
    ├── RunNotRetryable           run_not_retryable           409
    ├── DifferentSets             different_sets              409
    ├── ImageJudges               image_judges                409
    ├── ChampionChanged           champion_changed            409
    ├── OverrideNeeded            override_needed             409
    ├── NoEarlierChampion         no_earlier_champion         409
    ├── WrongEventId              wrong_event_id              422
    ├── ClaimLost                 claim_lost                  409
    ├── ApiStopping               api_stopping                503
    ├── DatabaseUnavailable       database_unavailable        503
    ├── BlobStoreUnavailable      blob_store_unavailable      503
    ├── BaselineMissing           baseline_missing            503
    ├── BaselineUnreadable        baseline_unreadable         503
    ├── BaseSetMissing            base_set_missing            503
    ├── BaseSetInvalid            base_set_invalid            503
    ├── ClassMapMismatch          class_map_mismatch          503
    ├── InvalidSetting            invalid_setting             503
    ├── DeviceUnavailable         device_unavailable          422
    ├── DiskFull                  disk_full                   507
    ├── OutOfMemory               out_of_memory               500
    ├── TrainingFailed            training_failed             500
    ├── ResumeStateDamaged        resume_state_damaged        500
    ├── RunnerDied                runner_died                 500
    ├── BlobDamaged               blob_damaged                500
    ├── CheckpointDamaged         checkpoint_damaged          500
    ├── PublishFailed             publish_failed              500
    ├── ExportFailed              export_failed               500
    ├── SeparateWorkFailed        separate_work_failed        500
    └── InsecureBinding           insecure_binding            (start-up only)

`status` is the HTTP status that the API answers with; nothing else here knows of HTTP.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

ERRORS_BY_CODE: dict[str, type["TmsError"]] = {}


class TmsError(Exception):
    """Base of every error a caller can act on.

    Attributes:
        code: Stable, machine-readable name.
        status: HTTP status of the answer.
        title: The kind of problem in a few words.
        detail: What happened, where, and what to do next.
        extra: Further members of the problem document, JSON values only.
    """

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Something failed on our side"

    def __init_subclass__(cls) -> None:
        """Make the class known under its code."""
        ERRORS_BY_CODE.setdefault(cls.code, cls)

    def __init__(self, detail: str, **extra: Any) -> None:
        """Keep the sentence for people and the facts for programs."""
        super().__init__(detail)
        self.detail = detail
        self.extra = extra

    def as_dict(self) -> dict[str, Any]:
        """Code, title, detail and extra as stored with a failed run."""
        return {"code": self.code, "title": self.title, "detail": self.detail, "extra": self.extra}


def restore_error(stored: dict[str, Any]) -> TmsError:
    """The error that `as_dict` was kept from; a code that nothing has becomes a plain `TmsError`."""
    kind = ERRORS_BY_CODE.get(stored["code"], TmsError)
    return kind(stored["detail"], **stored["extra"])


class InvalidRequest(TmsError):
    """The payload breaks the schema."""

    code, status, title = "invalid_request", 422, "The request is not valid"


class IdempotencyConflict(TmsError):
    """An idempotency key came back with another body."""

    code, status, title = "idempotency_conflict", 422, "This Idempotency-Key was used for another request"


class NoUsableImages(TmsError):
    """Not one image of a batch passed intake."""

    code, status, title = "no_usable_images", 422, "No image of this batch can be used"


class NothingApproved(TmsError):
    """No approved sample is left that a champion has not learned from."""

    code, status, title = "nothing_approved", 409, "There is nothing approved to learn from"


class UnusableImage(TmsError):
    """An image file was handed in that intake would put aside."""

    code, status, title = "unusable_image", 422, "The image cannot be used"


class BoxesRefused(TmsError):
    """Boxes that somebody drew do not fit the image or the class map."""

    code, status, title = "boxes_refused", 422, "These boxes do not fit the image"


class NotFound(TmsError):
    """Something was asked for by an id that nothing has."""

    code, status, title = "not_found", 404, "There is nothing with this id"


class NotRepairable(TmsError):
    """A sample is not in quarantine, or what was asked for does not repair it."""

    code, status, title = "not_repairable", 409, "The sample cannot be repaired like this"


class Unauthorized(TmsError):
    """The caller shows no key that is in force."""

    code, status, title = "unauthorized", 401, "An API key is needed"


class Forbidden(TmsError):
    """The caller is known and may not do this."""

    code, status, title = "forbidden", 403, "This is not allowed"


class HostRefused(TmsError):
    """The request was sent to a name that this server does not answer to."""

    code, status, title = "host_refused", 421, "This server does not answer to that name"


class MethodNotAllowed(TmsError):
    """The address exists and takes another method."""

    code, status, title = "method_not_allowed", 405, "This address does not take that method"


class RangeRefused(TmsError):
    """A part of a file was asked for that it does not have."""

    code, status, title = "range_refused", 416, "The file has no such part"


class PayloadTooLarge(TmsError):
    """The body is over the limit."""

    code, status, title = "payload_too_large", 413, "The request body is too large"


class StaleSample(TmsError):
    """A reviewer decides on a sample that somebody else has changed since he saw it."""

    code, status, title = "stale_sample", 409, "This has changed since you saw it"


class SampleNotReviewable(TmsError):
    """A sample is in quarantine, or was not taken in yet."""

    code, status, title = "sample_not_reviewable", 409, "This sample cannot be reviewed"


class NothingToUndo(TmsError):
    """Nothing was done to a sample since it was taken in, or all of it was undone."""

    code, status, title = "nothing_to_undo", 409, "There is nothing to undo"


class RunCancelled(TmsError):
    """The run that a caller waited for was cancelled."""

    code, status, title = "run_cancelled", 409, "The run was cancelled"


class RunEnded(TmsError):
    """A run was told to end that has ended already."""

    code, status, title = "run_ended", 409, "The run has ended already"


class RunNotRetryable(TmsError):
    """A run was to be retried that goes on, or that succeeded."""

    code, status, title = "run_not_retryable", 409, "The run cannot be retried"


class DifferentSets(TmsError):
    """Figures of different image sets were to be compared."""

    code, status, title = "different_sets", 409, "These figures are of different image sets"


class ImageJudges(TmsError):
    """An image that judges was to be learned from."""

    code, status, title = "image_judges", 409, "An image that judges is never learned from"


class ChampionChanged(TmsError):
    """Another checkpoint is live than the caller saw."""

    code, status, title = "champion_changed", 409, "Another checkpoint has become the champion"


class OverrideNeeded(TmsError):
    """A checkpoint was to be promoted that was judged worse, or was not judged."""

    code, status, title = "override_needed", 409, "The verdict does not allow this"


class NoEarlierChampion(TmsError):
    """There is nothing to roll back to."""

    code, status, title = "no_earlier_champion", 409, "This is no earlier champion"


class WrongEventId(TmsError):
    """A `Last-Event-ID` names no event of the run it came with."""

    code, status, title = "wrong_event_id", 422, "The Last-Event-ID is not one of this run"


class ClaimLost(TmsError):
    """Somebody works on a run that has passed to another owner, or has ended."""

    code, status, title = "claim_lost", 409, "The run has passed to another owner"


class ApiStopping(TmsError):
    """The API is shutting down while a caller waits for a run that goes on."""

    code, status, title = "api_stopping", 503, "The API is shutting down"


class DatabaseUnavailable(TmsError):
    """The database does not answer."""

    code, status, title = "database_unavailable", 503, "The database does not answer"


class BlobStoreUnavailable(TmsError):
    """The store of images and weights does not answer."""

    code, status, title = "blob_store_unavailable", 503, "The blob store does not answer"


class BaselineMissing(TmsError):
    """The configured baseline weights do not exist."""

    code, status, title = "baseline_missing", 503, "The baseline weights are missing"


class BaselineUnreadable(TmsError):
    """A weights file is no YOLO detection checkpoint."""

    code, status, title = "baseline_unreadable", 503, "The baseline weights cannot be read"


class BaseSetMissing(TmsError):
    """The configured base set does not exist or holds no labelled image."""

    code, status, title = "base_set_missing", 503, "The base set is missing"


class BaseSetInvalid(TmsError):
    """The base set's data.yaml or labels cannot be used."""

    code, status, title = "base_set_invalid", 503, "The base set cannot be read"


class ClassMapMismatch(TmsError):
    """Weights and base set do not name the same classes."""

    code, status, title = "class_map_mismatch", 503, "Weights and base set name different classes"


class InvalidSetting(TmsError):
    """A setting has a value that nothing can be done with."""

    code, status, title = "invalid_setting", 503, "A setting is wrong"


class DeviceUnavailable(TmsError):
    """The asked device does not exist on this host."""

    code, status, title = "device_unavailable", 422, "The asked device is not on this host"


class DiskFull(TmsError):
    """A write failed for want of space."""

    code, status, title = "disk_full", 507, "The disk is full"


class OutOfMemory(TmsError):
    """Neither the device nor the host had the memory that a batch needs."""

    code, status, title = "out_of_memory", 500, "There was not enough memory"


class ResumeStateDamaged(TmsError):
    """The state that a run was to go on from is missing or altered."""

    code, status, title = "resume_state_damaged", 500, "The state to go on from is damaged"


class TrainingFailed(TmsError):
    """The training loop raised."""

    code, status, title = "training_failed", 500, "Training failed"


class RunnerDied(TmsError):
    """The runner process ended without an outcome."""

    code, status, title = "runner_died", 500, "The training process died"


class BlobDamaged(TmsError):
    """A stored image, weights file or resume state is missing, or not the one that was stored."""

    code, status, title = "blob_damaged", 500, "A stored file is damaged"


class CheckpointDamaged(TmsError):
    """A checkpoint's bytes are not those its manifest recorded."""

    code, status, title = "checkpoint_damaged", 500, "A checkpoint file is damaged"


class PublishFailed(TmsError):
    """A checkpoint could not be published; what was live stays live."""

    code, status, title = "publish_failed", 500, "The checkpoint could not be published"


class ExportFailed(TmsError):
    """A checkpoint could not be written in another format."""

    code, status, title = "export_failed", 500, "The checkpoint could not be exported"


class SeparateWorkFailed(TmsError):
    """A process that was started for one piece of work ended without having done it."""

    code, status, title = "separate_work_failed", 500, "A process apart did not do its work"


class InsecureBinding(TmsError):
    """Without an API key only loopback may be served."""

    code, status, title = "insecure_binding", 500, "Refusing to serve this address without API keys"


# Windows has no quota error.
_OUT_OF_SPACE = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}


@contextmanager
def disk_full_named(what: str) -> Iterator[None]:
    """Turn the operating system's out-of-space errors into `DiskFull`.

    Args:
        what: What was being written, for the sentence, such as "the published weights".

    Raises:
        DiskFull: If the block failed for want of space, quota or file size.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _OUT_OF_SPACE:
            raise
        detail = f"There was no space left while writing {what}. Free disk space, then start the run again."
        raise DiskFull(detail, path=str(error.filename or "")) from error
