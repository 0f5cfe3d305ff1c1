"""How large a body may be, which is a matter of its address."""

from core.config import MIB, Settings

MAX_BODY_BYTES = 32 * MIB
IMAGES, IMPORTS = "/api/images", "/api/imports"
# What a multipart body has beside its files.
_FRAME_BYTES = 64 * 1024


def max_body_bytes(path: str, settings: Settings) -> int:
    """The largest body that is taken at an address."""
    if path == IMAGES:
        return settings.image_max_bytes + _FRAME_BYTES
    if path == IMPORTS:
        return settings.import_max_bytes + _FRAME_BYTES
    return MAX_BODY_BYTES


def too_large(path: str, settings: Settings) -> str:
    """What a caller is told whose body is larger."""
    limit = f"The body is over {max_body_bytes(path, settings) / MIB:.4g} MiB."
    if path == IMAGES:
        return f"{limit} Make the image smaller, or have the operator raise TMS_IMAGE_MAX_BYTES."
    if path == IMPORTS:
        return f"{limit} Split the import, or have the operator raise TMS_IMPORT_MAX_BYTES."
    return f"{limit} Post the images as several batches."
