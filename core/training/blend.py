"""Between old and new weights."""

from typing import Any


def blend_into(candidate: Any, champion: Any, share: float) -> None:
    """Move the candidate's weights towards the champion's, in place.

    Linear interpolation of all floating-point parameters and buffers, as in WiSE-FT
    (Wortsman et al., 2022, "Robust fine-tuning of zero-shot models").

    Args:
        candidate: The fine-tuned model, fp32.
        champion: The model it was fine-tuned from, fp32.
        share: Of the candidate in the result, above 0 and up to 1.
    """
    new, old = candidate.state_dict(), champion.state_dict()
    for name, value in new.items():
        if value.is_floating_point():
            value.lerp_(old[name], 1 - share)
