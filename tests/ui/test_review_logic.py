"""The Review screen without a browser: what it says, and what its buttons do in the store."""

from core.feedback.samples import get_sample
from core.store import Store
from tests.samples import add_batch, add_sample
from tests.ui import review_states
from tests.ui.conftest import Screen, words_of

CONFLICT = {
    "status": "quarantined",
    "reason_code": "conflict",
    "reason_detail": "The same image is known with other boxes.",
    "reason_repair": "Decide in review.",
}


def test_empty_screen_says_what_to_do_next(show: Screen) -> None:
    said = words_of(show("review"))
    assert "No feedback yet" in said
    assert "POST /api/feedback" in said


def test_filter_that_finds_nothing_can_be_cleared(store: Store, show: Screen) -> None:
    add_sample(store)
    app = show("review", status="approved", text="nowhere")
    assert "No image fits these filters" in words_of(app)
    next(button for button in app.button if button.label == "Clear filters").click().run()
    assert "1 image" in words_of(app)
    assert "status" not in app.query_params


def test_nonsense_in_the_address_is_passed_over(store: Store, show: Screen) -> None:
    add_sample(store)
    app = show("review", status="eaten", class_id="many", batch_id="../etc", view="nowhere")
    assert not app.exception
    assert "1 image" in words_of(app)


def test_sample_that_is_not_there_is_told(show: Screen) -> None:
    app = show("review", sample="sample-none")
    assert "There is no sample sample" in app.error[0].value


def test_all_that_a_filter_finds_are_approved(store: Store, show: Screen) -> None:
    batch_id = add_batch(store)
    ids = [add_sample(store, batch_id) for _ in range(3)]
    other = add_sample(store)
    app = show("review", batch_id=batch_id)
    app.button(key="all_approved").click().run()
    assert "Approved: 3 images" in words_of(app)
    assert {get_sample(store, id_).status for id_ in ids} == {"approved"}
    assert get_sample(store, other).status == "pending"


def test_bulk_verdict_on_what_has_changed_meanwhile_decides_nothing(store: Store, show: Screen) -> None:
    batch_id = add_batch(store)
    first = add_sample(store, batch_id)
    app = show("review", batch_id=batch_id)
    add_sample(store, batch_id)
    app.button(key="all_rejected").click().run()
    assert "Nothing was decided" in app.error[0].value
    assert get_sample(store, first).status == "pending"


def test_pages_go_on_and_back(store: Store, show: Screen) -> None:
    batch_id = add_batch(store)
    for _ in range(30):
        add_sample(store, batch_id)
    app = show("review")
    next(button for button in app.button if button.label == "Next page").click().run()
    assert "Page 2" in words_of(app)
    next(button for button in app.button if button.label == "Previous page").click().run()
    assert "Page 1" in words_of(app)


def test_conflict_is_taken_in_only_with_a_reason(store: Store, show: Screen) -> None:
    review_states.add_champion(store)
    batch_id = add_batch(store)
    known = review_states.add_image(store, batch_id, 1)
    sample_id = review_states.add_image(store, batch_id, 1, conflicts_with_id=known, **CONFLICT)
    app = show("review", sample=sample_id)
    assert "The same image is known with other boxes" in words_of(app)
    app.button(key=f"accept_{sample_id}").click().run()
    assert "a reason is needed" in words_of(app)
    assert get_sample(store, sample_id).status == "quarantined"
    app.text_input(key=f"accept_why_{sample_id}").input("The second drawing is right").run()
    app.button(key=f"accept_{sample_id}").click().run()
    assert "Through intake once more" in words_of(app)
    assert get_sample(store, sample_id).status == "pending"


def test_unknown_class_is_mapped_for_all_with_that_reason(store: Store, show: Screen) -> None:
    review_states.add_champion(store)
    posted = [{"box": {"x_min": 1, "y_min": 2, "x_max": 60, "y_max": 70}, "class_name": "hot spot"}]
    reason = CONFLICT | {"reason_code": "class_unknown"}
    ids = [review_states.add_image(store, add_batch(store), seed, posted=posted, **reason) for seed in (1, 2)]
    app = show("review", view="quarantine")
    app.selectbox(key="map_all_hot spot").select("overload").run()
    app.button(key="map_all").click().run()
    assert "2 images" in words_of(app)
    assert {get_sample(store, id_).status for id_ in ids} == {"pending"}
