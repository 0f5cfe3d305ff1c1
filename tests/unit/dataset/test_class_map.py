import pytest

from core.dataset.class_map import ids_in
from core.errors import ClassMapMismatch


def test_ids_follow_the_live_model_by_name():
    assert ids_in(["a", "b", "c"], ["c", "a", "b"]) == [2, 0, 1]


@pytest.mark.parametrize("source", [["a"], ["a", "b", "c"], ["a", "B"], ["a", "a"], []])
def test_other_names_are_refused_with_both_lists(source):
    with pytest.raises(ClassMapMismatch) as refused:
        ids_in(["a", "b"], source)
    assert refused.value.extra == {"weights_classes": ["a", "b"], "base_set_classes": source}
