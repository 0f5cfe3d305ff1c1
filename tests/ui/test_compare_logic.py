"""The Compare screen without a browser: what it says in each state, and what its buttons do in the store."""

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Button

from core.dataset import feedback_set, frozen_sets, pins
from core.dataset.images import ImageSet
from core.evaluation.gate import Decision
from core.evaluation.policy import Finding
from core.registry import checkpoints, comparisons, publish
from core.schemas import Verdict
from core.store import Store
from core.store.tables import Comparison, Evaluation
from pages._ui import compare_view
from tests.factories import CLASS_NAMES
from tests.history import add_batch
from tests.ui import compare_states, states
from tests.ui.compare_states import Compared
from tests.ui.conftest import Screen, words_of
from tests.unit.registry.factories import promote, proven


@pytest.fixture
def compared(store: Store) -> Compared:
    return compare_states.judged_run(store)


def opened(show: Screen, compared: Compared, **query: str) -> AppTest:
    return show("compare", candidate=compared.candidate_id, baseline=compared.baseline_id, **query)


def tail(checkpoint_id: str) -> str:
    return f"ckpt-{checkpoint_id[-6:]}"


def cards_of(app: AppTest) -> list[Button]:
    return [one for one in app.button if str(one.key).startswith("open_")]


def button(app: AppTest, label: str) -> Button:
    return next(one for one in app.button if one.label == label)


def test_without_a_model_it_says_how_to_get_one(show: Screen) -> None:
    said = words_of(show("compare"))
    assert "There is no model yet" in said
    assert "Start one, or post feedback" in said


def test_with_the_baseline_alone_it_says_what_makes_a_candidate(store: Store, show: Screen) -> None:
    states.promote(store, states.add_checkpoint(store))
    assert "A fine-tune makes a candidate to hold against it" in words_of(show("compare"))


def test_two_that_nobody_judged_can_be_chosen(store: Store, show: Screen) -> None:
    champion = proven(store, b"old")
    promote(store, champion, None)
    other = proven(store, b"new")
    app = show("compare")
    assert (app.selectbox(key="old").value, app.selectbox(key="new").value) == (champion.id, other.id)
    assert "Nothing was compared yet" in words_of(app)
    button(app, "Open comparison").click().run()
    assert app.query_params["candidate"] == other.id
    assert "These two were never compared" in words_of(app)


def test_the_newest_that_was_judged_is_offered_against_the_champion(
    store: Store, show: Screen, compared: Compared
) -> None:
    proven(store, b"newer, but never judged")
    app = show("compare")
    chosen = (app.selectbox(key="new").value, app.selectbox(key="old").value)
    assert chosen == (compared.candidate_id, compared.baseline_id)
    said = words_of(app)
    assert "not enough evidence" in said
    assert tail(compared.baseline_id) in said
    app.selectbox(key="new").set_value(compared.baseline_id).run()
    assert button(app, "Open comparison").disabled


def test_a_published_candidate_is_offered_as_it_was_compared(
    store: Store, show: Screen, compared: Compared
) -> None:
    states.promote(store, compared.candidate_id)
    app = show("compare")
    chosen = (app.selectbox(key="new").value, app.selectbox(key="old").value)
    assert chosen == (compared.candidate_id, compared.baseline_id)


def test_the_verdict_is_one_sentence_with_the_images_that_it_would_take(
    show: Screen, compared: Compared
) -> None:
    app = opened(show, compared)
    assert not app.exception
    (verdict,) = app.info
    said = verdict.value.replace("\\", "")
    assert f"cannot tell whether {tail(compared.candidate_id)} is better than" in said
    assert "more would" in said
    found = words_of(app)
    assert "8 base test images" in found
    assert "No feedback is held out for judging yet" in found


def test_figures_of_both_are_told_in_numbers_too(show: Screen, compared: Compared) -> None:
    app = opened(show, compared)
    changes, errors = (table.value for table in app.table)
    recall = changes.set_index("In points").loc["Recall"]
    assert (recall["Old"], recall["New"]) == ("87.5", "75.0")
    missed = errors.set_index("Kind").loc["Missed: nothing accounts for the box"]
    assert (missed["Old"], missed["New"], missed["Change"]) == ("1", "1", "±0")
    assert "7 right, 1 box without a claim, 0 claims without a box" in words_of(app)
    app.selectbox(key="compare_curve").select(0).run()
    assert not app.exception


def test_what_got_worse_and_better_is_shown_image_by_image(show: Screen, compared: Compared) -> None:
    app = opened(show, compared)
    said = words_of(app)
    for image, change in zip(
        compared.images,
        ("no longer found", "now takes it for another class", "new false alarm", "box fits worse"),
        strict=False,
    ):
        assert image.path.name in {card.label.replace("\\", "") for card in cards_of(app)}
        assert change in said
    assert list(app.radio(key="compare_part").options) == ["Got worse: 4", "Got better: 1"]
    app.radio(key="compare_part").set_value("better").run()
    (card,) = cards_of(app)
    assert card.label.replace("\\", "") == compared.images[-1].path.name
    assert f"{CLASS_NAMES[1]}: now found" in words_of(app)


def test_an_image_that_is_opened_stays_in_the_address(show: Screen, compared: Compared) -> None:
    app = opened(show, compared)
    app.button(key=f"open_{compared.images[2].sha256}").click().run()
    assert app.query_params["image"] == compared.images[2].sha256
    again = opened(show, compared, image=compared.images[2].sha256)
    assert f"- {CLASS_NAMES[1]}: new false alarm" in words_of(again)
    assert "is not among those that changed" in words_of(opened(show, compared, image="0" * 64))


def test_no_more_than_a_screenful_is_drawn(store: Store, show: Screen) -> None:
    compared = compare_states.judged_run(store, test_images=30, lost=20)
    app = opened(show, compared)
    cards = cards_of(app)
    assert len(cards) == 6
    assert "Page 1 of 4" in words_of(app)
    button(app, "More images").click().run()
    assert "Page 2 of 4" in words_of(app)
    assert not {one.key for one in cards} & {one.key for one in app.button}
    button(app, "Previous images").click().run()
    assert [one.key for one in cards_of(app)] == [one.key for one in cards]


def test_a_training_image_that_shows_the_same_is_pinned_and_unpinned_in_one_click(
    store: Store, show: Screen, compared: Compared
) -> None:
    app = opened(show, compared)
    assert not [one for one in app.button if one.label == "Pin to replay"]
    app.session_state["alike_open"] = True
    app.run()
    train = {image.sha256: image for image in frozen_sets.base_set(store).train.images}
    offered = [one.key.removeprefix("pin_") for one in app.button if one.label == "Pin to replay"]
    assert offered
    assert {label.class_id for sha256 in offered for label in train[sha256].labels} == {0}
    button(app, "Pin to replay").click().run()
    (pin,) = pins.pins(store)
    assert pin.sha256 == offered[0]
    assert "no longer found" in (pin.reason or "")
    assert "Pinned to replay: 1 image" in words_of(show("compare"))
    app.run()
    button(app, "Unpin").click().run()
    assert pins.pins(store) == []


def test_a_pin_is_taken_back_from_the_list(store: Store, show: Screen, compared: Compared) -> None:
    pins.pin(store, "a" * 64, actor="anna", reason="**its** bushing is forgotten")
    app = show("compare")
    assert "anna: **its** bushing is forgotten" in words_of(app)
    button(app, "Unpin").click().run()
    assert pins.pins(store) == []


def test_two_that_were_never_compared_are_compared_by_a_button(
    store: Store, show: Screen, compared: Compared
) -> None:
    champion, other = proven(store, b"a"), proven(store, b"b")
    test = frozen_sets.base_set(store).test
    compare_states.compare(store, champion, other, test, lost=1)
    with store.database.write() as session:
        for row in session.query(Comparison).filter_by(candidate_id=other.id):
            session.delete(row)
    app = show("compare", candidate=other.id, baseline=champion.id)
    assert "Compare them scores both on the same images" in words_of(app).replace("*", "")
    button(app, "Compare them").click().run()
    assert not app.exception
    assert len(comparisons.of_pair(store, champion.id, other.id)) == 1
    assert "cannot tell whether" in words_of(app)


def test_what_cannot_be_compared_says_why(store: Store, show: Screen) -> None:
    champion, other = proven(store, b"a"), proven(store, b"b")
    app = show("compare", candidate=other.id, baseline=champion.id)
    button(app, "Compare them").click().run()
    assert "base" in app.error[0].value
    assert "code" in app.error[0].value


def test_figures_whose_detections_are_gone_are_left_out_with_a_word(
    store: Store, show: Screen, compared: Compared
) -> None:
    with store.database.write() as session:
        session.query(Evaluation).delete()
    app = opened(show, compared)
    assert not app.exception
    assert "the detections were not kept" in words_of(app)


def test_changed_images_that_are_gone_are_said_to_be(store: Store, show: Screen, compared: Compared) -> None:
    store.blobs.delete(compared.row.images_sha256)
    app = opened(show, compared)
    assert not app.exception
    assert "missing" in app.error[0].value


def test_a_candidate_is_promoted_with_a_reason(store: Store, show: Screen, compared: Compared) -> None:
    app = opened(show, compared)
    app.text_input(key="promote_why").set_value("finds the last one")
    button(app, "Promote it").click().run()
    assert not app.exception
    live = publish.champion(store)
    assert live is not None
    assert live.id == compared.candidate_id


def test_the_same_model_twice_says_so(show: Screen, compared: Compared) -> None:
    said = words_of(show("compare", candidate=compared.baseline_id, baseline=compared.baseline_id))
    assert "one and the same model" in said


def test_a_candidate_alone_is_held_against_the_champion(show: Screen, compared: Compared) -> None:
    app = show("compare", candidate=compared.candidate_id)
    assert app.query_params["baseline"] == compared.baseline_id
    assert "cannot tell whether" in words_of(app)


@pytest.mark.parametrize("unknown", ["candidate", "baseline"])
def test_an_unknown_model_is_told(show: Screen, compared: Compared, unknown: str) -> None:
    query = {"candidate": compared.candidate_id, "baseline": compared.baseline_id} | {unknown: "ckpt-none"}
    app = show("compare", **query)
    assert not app.exception
    assert "There is no checkpoint" in app.error[0].value


def test_an_unknown_set_in_the_address_is_passed_over(show: Screen, compared: Compared) -> None:
    assert "Base test set: both on the same 8 images" in words_of(opened(show, compared, set="../etc"))


def test_the_set_is_chosen_and_stays_in_the_address(store: Store, show: Screen, compared: Compared) -> None:
    sample_ids = add_batch(store, *(f"not an image {number}" for number in range(6)), is_holdout=True)
    with store.database.read() as session:
        kept = feedback_set.kept_for_judging(session)
    holdout = ImageSet(name="holdout", images=tuple(feedback_set.labelled(store, kept)))
    frozen_sets.freeze(store, holdout)
    pair = [checkpoints.get(store, id_) for id_ in (compared.baseline_id, compared.candidate_id)]
    compare_states.compare(store, *pair, holdout, lost=1)

    app = opened(show, compared)
    assert "6 held-out feedback images" in words_of(app)
    app.radio(key="compare_set").set_value("holdout").run()
    assert app.query_params["set"] == "holdout"
    app = opened(show, compared, set="holdout")
    assert not app.exception
    said = words_of(app)
    assert "Held-out feedback: both on the same 6 images" in said
    assert "This image is not on this host any more" in said
    review = next(link.proto for link in app.get("page_link") if link.proto.label == "Open in Review")
    assert review.query_string.removeprefix("sample=") in sample_ids


def test_another_deploy_threshold_than_todays_is_told(store: Store, show: Screen, compared: Compared) -> None:
    with store.database.write() as session:
        session.get_one(Comparison, compared.row.id).confidence = 0.6
    warning = opened(show, compared).warning[0].value
    assert "at a deploy threshold of 0.6; today it is" in warning
    assert "Compare again" in warning


@pytest.mark.parametrize(
    ("verdict", "needed", "said"),
    [
        ("pass", None, "ckpt-newnew is better than ckpt-oldold: it lost nothing that counts"),
        ("fail", None, "ckpt-newnew is worse than ckpt-oldold."),
        ("not_enough_evidence", None, "cannot tell whether ckpt-newnew is better than ckpt-oldold."),
        ("not_enough_evidence", 1200, "better than ckpt-oldold; about 1,200 more would."),
        ("not_enough_evidence", 10_000, "better than ckpt-oldold; it would take more than 10,000 more."),
    ],
)
def test_each_verdict_is_one_sentence(verdict: Verdict, needed: int | None, said: str) -> None:
    decision = Decision(verdict, (Finding("open", "", images_needed=needed),), publishes=False)
    told = compare_view.sentence(decision, "ckpt-newnew", "ckpt-oldold")
    assert said in told
    assert told.count(".") == 1


def test_result_of_a_run_and_a_model_lead_there(show: Screen, compared: Compared) -> None:
    for app in (show("runs", run=compared.run_id), show("models", checkpoint=compared.candidate_id)):
        links = [link.proto for link in app.get("page_link")]
        (link,) = [one for one in links if one.label.startswith("Compare ") and "Compare:" not in one.label]
        assert compared.candidate_id in link.query_string
        assert compared.baseline_id in link.query_string
