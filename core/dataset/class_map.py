"""Class ids by name: the live model's order rules, everything else is mapped onto it."""

from collections.abc import Sequence

from core.errors import ClassMapMismatch


def ids_in(target_names: Sequence[str], source_names: Sequence[str]) -> list[int]:
    """For each class of `source_names`, its id in `target_names`.

    Args:
        target_names: Class names of the live model, ids are positions.
        source_names: Class names of the base set, in its own order.

    Raises:
        ClassMapMismatch: If the two do not name the same classes. Ultralytics would re-initialise the
            output of a class whose name it does not find, without a word.
    """
    if set(target_names) != set(source_names) or len(set(target_names)) != len(target_names):
        raise ClassMapMismatch(
            f"The weights know the classes {list(target_names)}, the base set {list(source_names)}. "
            "Rename the classes in data.yaml, or point TMS_PRETRAINED_WEIGHTS and "
            "TMS_ANNOTATED_DATASET_ROOT at a pair that belongs together.",
            weights_classes=list(target_names),
            base_set_classes=list(source_names),
        )
    return [list(target_names).index(name) for name in source_names]
