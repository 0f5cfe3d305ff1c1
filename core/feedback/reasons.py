"""What intake may find about an image: one table of stable codes, each with its policy and its repair."""

from typing import Literal, NamedTuple

from core.schemas_review import RepairKind

Policy = Literal["quarantine", "warn", "accept"]
_ANY: tuple[Policy, ...] = ("quarantine", "warn", "accept")


class Reason(NamedTuple):
    """What a reason code means to a person, and what is done about it.

    Attributes:
        title: The finding in a few words.
        repair: What whoever posted the image can do.
        policy: What happens unless the operator says otherwise: the image is put aside, or taken in with the
            finding noted, or just taken in.
        policies: What the operator may choose.
        repairs: What a person can do with an image that was put aside for it.
    """

    title: str
    repair: str
    policy: Policy = "quarantine"
    policies: tuple[Policy, ...] = ("quarantine",)
    repairs: tuple[RepairKind, ...] = ("retry",)


REASONS = {
    "fetch_refused_url": Reason(
        "Not an address we fetch", "Post an http or https address without a user name or password."
    ),
    "fetch_refused_address": Reason(
        "The host may not be fetched",
        "Serve the image from a public address, or have the operator add the host to TMS_IMAGE_HOSTS.",
    ),
    "fetch_too_many_redirects": Reason("Too many redirects", "Post the address the redirects end at."),
    "fetch_not_found": Reason(
        "No image at this address",
        "Check the address and that the image is still stored, then post it again.",
    ),
    "fetch_http_error": Reason(
        "The image server refused",
        "Make the image readable without sign-in, or renew its signed link, then post it again.",
    ),
    "fetch_unreachable": Reason(
        "The image server could not be reached",
        "Check host name, port and certificate of the address, and that its server runs, then post it again.",
    ),
    "fetch_timeout": Reason(
        "The download took too long",
        "Post the image again from a faster server, or have the operator raise TMS_FETCH_DEADLINE_S.",
    ),
    "fetch_too_large": Reason(
        "The file is too large", "Post a smaller file, or have the operator raise TMS_IMAGE_MAX_BYTES."
    ),
    "fetch_not_an_image": Reason(
        "A page, not an image", "Post the address of the image file itself; it must need no sign-in."
    ),
    "fetch_unknown_upload": Reason(
        "No upload at this address",
        "Upload the image file with POST /api/images, then post it again with the address in the answer.",
    ),
    "decode_empty": Reason("The file is empty", "Upload the image again at its source, then post it again."),
    "decode_unsupported": Reason("Not an accepted image format", "Post a JPEG, PNG, TIFF, BMP or WebP file."),
    "decode_truncated": Reason(
        "The file is cut short", "Upload the whole file again at its source, then post it again."
    ),
    "decode_failed": Reason("The file is damaged", "Export the image again, then post it again."),
    "image_too_large": Reason(
        "Too many pixels",
        "Scale the image down together with its boxes, or have the operator raise TMS_IMAGE_MAX_PIXELS.",
    ),
    "image_too_small": Reason("Too few pixels", "Post the image at its full resolution."),
    "box_inverted": Reason(
        "A box is inside out",
        "Send x_min < x_max and y_min < y_max in pixels, not centre and size.",
        policies=_ANY,
        repairs=("clip",),
    ),
    "box_outside": Reason(
        "A box leaves the image",
        "Send absolute pixels of the upright image at the size it has at image_url.",
        policies=_ANY,
        repairs=("clip",),
    ),
    "box_too_small": Reason(
        "A box has no area",
        "Draw the box around the whole object, or leave it out.",
        policies=_ANY,
        repairs=("clip",),
    ),
    "box_none_left": Reason(
        "No box is left",
        "Post the image with boxes that lie in it, or with an empty list if nothing is to be found there.",
        repairs=("accept",),
    ),
    "class_unknown": Reason(
        "An unknown class", "Send one of the classes of the live model.", repairs=("map_class",)
    ),
    "leak_validation": Reason(
        "An image that judges the model",
        "Leave it out: learning from it would make the scores worthless.",
        repairs=(),
    ),
    "duplicate_exact": Reason("Twice in this batch", "Nothing to do: its first copy is in use.", repairs=()),
    "duplicate_earlier": Reason(
        "Posted before with the same boxes",
        "Nothing to do.",
        policy="warn",
        policies=_ANY,
        repairs=("accept",),
    ),
    "duplicate_near": Reason(
        "Nearly the same as an earlier image",
        "Nothing to do, unless it is a copy: then leave it out.",
        policy="warn",
        policies=_ANY,
        repairs=("accept",),
    ),
    "conflict": Reason(
        "Known with other boxes",
        "Decide in review which boxes are right; those that are in use stay until then.",
        repairs=("accept",),
    ),
}


class Refusal(Exception):
    """One image cannot be used; the rest of its batch is not touched by it.

    Attributes:
        code: A key of `REASONS`.
        detail: What is wrong, with the numbers; never a query string or a password.
        repair: What would make the image usable.
    """

    def __init__(self, code: str, detail: str) -> None:
        """Look the repair up; an unknown code is a mistake of ours and raises KeyError."""
        super().__init__(f"{code}: {detail}")
        self.code, self.detail, self.repair = code, detail, REASONS[code].repair
