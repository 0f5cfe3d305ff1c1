"""The parts of a report, each from what is known of the run; what is not known is said or left out."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from core.dataset.images import LabelledImage, boxes_per_class
from core.evaluation.comparison import Comparison
from core.evaluation.image_changes import ImageChanges
from core.evaluation.intervals import Change
from core.registry.changed_images import better, claims_of, in_words, labels_of, worse
from core.registry.report.charts import interval_chart, line_chart
from core.registry.report.facts import Facts
from core.registry.report.markup import Html, element, joined, section, table
from core.registry.report.pictures import picture
from core.schemas import Hyperparameters
from core.store import Store

_MOST_PICTURES = 12
_MOST_CHANGED = 8
_VERDICTS = {"pass": "Pass", "fail": "Fail", "not_enough_evidence": "Not enough evidence"}


def verdict(facts: Facts) -> Html:
    """What came of it, in one look."""
    run, summary = facts.run, facts.summary
    if summary is None:
        said = run.error["detail"] if run.error else "It has no outcome yet."
        return section("Outcome", element("p", run.status, class_="badge"), element("p", said))
    outcome = "The candidate was published." if summary["promoted"] else "The candidate was not published."
    return section(
        "Verdict",
        element("p", _VERDICTS[summary["verdict"]], class_=f"badge {summary['verdict']}"),
        element("p", summary["verdict_reason"]),
        element("p", outcome),
    )


def data(facts: Facts) -> Html:
    """What was learned from, and what was put aside."""
    frozen = facts.frozen
    if frozen is None:
        return section("Data", element("p", "No dataset revision was recorded.", class_="empty"))
    sets = {
        "Feedback": frozen.feedback,
        "Replay pool": frozen.replay_pool,
        "Tune (base)": frozen.tune.images,
        "Test (base)": frozen.test.images,
        "Holdout (feedback)": frozen.holdout.images,
    }
    rows = [
        [name, len(images), *boxes_per_class(images, frozen.class_names).values()]
        for name, images in sets.items()
    ]
    drawn = f"Each epoch sees all feedback and {frozen.replay_per_epoch} images of the replay pool."
    revision = element("p", f"Dataset revision {facts.run.dataset_digest}.", class_="small")
    figures = table(["Set", "Images", *(f"{name}: boxes" for name in frozen.class_names)], rows)
    return section("Data", figures, element("p", drawn), revision, _put_aside(facts))


def _put_aside(facts: Facts) -> Html | None:
    images = (facts.summary or {}).get("quarantined", [])
    if not images:
        return None
    rows = [[image["index"], image["code"], image["detail"], image["repair"]] for image in images]
    heading = element("h3", "Put aside")
    return joined([heading, table(["Image", "Reason", "What is wrong", "What to do"], rows)])


def recipe(facts: Facts) -> Html:
    """How it was learned."""
    told = sorted({*Hyperparameters.model_fields, "promotion"} & facts.run.request.keys())
    asked = [(name, facts.run.request[name]) for name in told]
    rows = [[name.replace("_", " "), "–" if value is None else value] for name, value in asked]
    return section("Recipe", table(["Setting", "Value"], rows))


def curves(facts: Facts) -> Html:
    """Losses and scores, epoch by epoch."""
    epochs = [event.payload for event in facts.events if event.kind == "epoch"]
    if not epochs:
        return section("Curves", element("p", "No epoch was finished.", class_="empty"))
    charts = [
        line_chart("Loss", _lines(epochs, "losses"), x_label="epoch"),
        line_chart("Scores on the tune split", _lines(epochs, "metrics"), x_label="epoch"),
    ]
    return section("Curves", element("div", *charts, class_="side-by-side"))


def _lines(epochs: Sequence[Mapping[str, Any]], part: str) -> dict[str, list[tuple[float, float]]]:
    names = dict.fromkeys(name for epoch in epochs for name in epoch[part])
    return {
        _short(name): [(epoch["epoch"], epoch[part][name]) for epoch in epochs if name in epoch[part]]
        for name in names
    }


def _short(metric: str) -> str:
    return metric.removeprefix("metrics/").removesuffix("(B)")


def scores(facts: Facts) -> Html:
    """Old and new weights on the same images, in points."""
    tables = [_score_table(facts, name) for name in dict.fromkeys(row.set_name for row in facts.scores)]
    if not tables:
        return section("Scores", element("p", "Nothing was scored.", class_="empty"))
    return section("Scores", *tables)


def _score_table(facts: Facts, set_name: str) -> Html:
    of_set = [row for row in facts.scores if row.set_name == set_name]
    old = next((row for row in of_set if row.checkpoint_id == facts.run.parent_id), None)
    new = next((row for row in of_set if row.checkpoint_id == facts.run.checkpoint_id), None)
    rows = [
        [_short(name), *_pair(_metric(old, name), _metric(new, name))] for name in (new or of_set[0]).metrics
    ]
    rows += [
        [f"{name}: AP50-95", *_pair(_of_class(old, name), _of_class(new, name))]
        for name in dict.fromkeys(one["class_name"] for row in of_set for one in row.per_class)
    ]
    heading = element("h3", f"{set_name.capitalize()} set, {of_set[0].image_count} images")
    digest = element("p", f"Digest {of_set[0].set_digest}.", class_="small")
    return joined([heading, table(["Points", "Champion", "Candidate", "Change"], rows), digest])


def _metric(row: Any, name: str) -> float | None:
    return row.metrics.get(name) if row else None


def _of_class(row: Any, name: str) -> float | None:
    per_class = row.per_class if row else []
    return next((one["ap50_95"] for one in per_class if one["class_name"] == name), None)


def _pair(old: float | None, new: float | None) -> list[str]:
    change = f"{100 * (new - old):+.1f}" if old is not None and new is not None else "–"
    return [*("–" if value is None else f"{100 * value:.1f}" for value in (old, new)), change]


def comparison(facts: Facts) -> Html | None:
    """How sure the changes are; left out where the judge compared nothing."""
    if not facts.compared:
        return None
    return section("Comparison", *(part for compared in facts.compared for part in _compared(compared)))


def _compared(compared: Comparison) -> Iterable[Html]:
    known = compared.known_changes()
    yield element("h3", f"{compared.set_name.capitalize()} set, {compared.image_count} images")
    yield element(
        "p",
        f"{_count(compared.group_count, 'independent group', 'independent groups')}, "
        f"{_count(compared.box_count, 'box', 'boxes')}; paired bootstrap.",
    )
    yield interval_chart(
        "Change in points, with 95 % intervals",
        [
            (name, change.delta, change.low_95, change.high_95)
            for name, change in known
            if change.delta is not None
        ],
    )
    rows = [
        [name, *_pair(change.old, change.new), _interval(change), _p_value(change)] for name, change in known
    ]
    yield table(["Points", "Champion", "Candidate", "Change", "95 % interval", "p"], rows)


def _interval(change: Change) -> str:
    if change.low_95 is None or change.high_95 is None:
        return "–"
    return f"{100 * change.low_95:+.1f} to {100 * change.high_95:+.1f}"


def _p_value(change: Change) -> str:
    return "–" if change.p_value is None else f"{change.p_value:.3f}"


def changed_images(store: Store, facts: Facts) -> Html | None:
    """The images that got worse and those that got better, old and new detections over the labels."""
    if not facts.changes or facts.frozen is None:
        return None
    known = {image.sha256: image for image in facts.frozen.images()}
    found = [change for change in facts.changes if change.sha256 in known]
    legend = element(
        "p", "Labels are green, the champion's detections orange, the candidate's blue.", class_="small"
    )
    return section(
        "Images that changed",
        legend,
        *_changed(store, facts, known, "Worse", worse(found)),
        *_changed(store, facts, known, "Better", better(found)),
    )


def _changed(
    store: Store,
    facts: Facts,
    known: Mapping[str, LabelledImage],
    title: str,
    found: Sequence[ImageChanges],
) -> Iterable[Html]:
    yield element("h3", f"{title}: {_count(len(found), 'image', 'images')}")
    pictures = [
        _changed_picture(store, facts, known[change.sha256], change) for change in found[:_MOST_CHANGED]
    ]
    yield element("div", *pictures, class_="gallery")


def _changed_picture(store: Store, facts: Facts, image: LabelledImage, change: ImageChanges) -> Html:
    names = facts.class_names
    claims = [box for one in change.differences for box in claims_of(one, names)]
    words = "; ".join(in_words(one, names) for one in change.differences)
    return picture(store, image, labels_of(image, names) + claims, words)


def learned_images(store: Store, facts: Facts) -> Html | None:
    """Some of the feedback, with the boxes that were learned."""
    feedback = facts.frozen.feedback if facts.frozen else ()
    if not feedback:
        return None
    pictures = [
        picture(store, image, labels_of(image, facts.class_names), _count(len(image.labels), "box", "boxes"))
        for image in feedback[:_MOST_PICTURES]
    ]
    shown = f"{len(pictures)} of {len(feedback)} images, with the boxes that were learned."
    return section("Feedback", element("p", shown), element("div", *pictures, class_="gallery"))


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def origin(facts: Facts) -> Html | None:
    """What the candidate is made of."""
    candidate = facts.candidate
    if candidate is None:
        return None
    manifest = candidate.manifest
    libraries = ", ".join(f"{name} {version}" for name, version in manifest["libraries"].items())
    rows = [
        ["Checkpoint", candidate.id],
        ["sha256", candidate.sha256],
        ["Made on", f"{manifest['host']}, {manifest['created_at']}"],
        ["Libraries", libraries],
        ["Lineage", " ← ".join(row.id for row in (candidate, *facts.ancestors))],
    ]
    return section("Origin", table(["", ""], rows))


def course(facts: Facts) -> Html:
    """When it was in which state."""
    rows = [
        [event.created_at.strftime("%Y-%m-%d %H:%M:%S UTC"), event.payload["status"]]
        for event in facts.events
        if event.kind == "status"
    ]
    return section("Course", table(["When", "State"], rows))
