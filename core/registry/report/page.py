"""The report of a run: one HTML file, with its images in it and without a script."""

from core.registry.report import sections
from core.registry.report.facts import Facts, gather
from core.registry.report.markup import Html, element
from core.store import Store
from core.store.tables import utc_now

# Nothing is fetched and nothing runs, whatever the texts in it may say.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_STYLE = Html("""
:root { color-scheme: light dark; --line: #8884; --soft: color-mix(in srgb, CanvasText 68%, Canvas); }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1080px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0; } h2 { margin-top: 2.2rem; border-bottom: 1px solid var(--line); }
table { border-collapse: collapse; margin: .6rem 0; } th, td { padding: .25rem .7rem; text-align: left; }
th[scope=row], thead th:first-child { font-weight: 500; overflow-wrap: anywhere; }
tbody tr { border-top: 1px solid var(--line); }
td { overflow-wrap: anywhere; } .number { font-variant-numeric: tabular-nums; text-align: right; }
figure { margin: 0; max-width: 560px; } figcaption { font-size: .85rem; }
svg { width: 100%; height: auto; display: block; }
svg text { font-size: 11px; fill: currentColor; }
.grid { stroke: var(--line); } .axis { stroke: var(--soft); }
.side-by-side, .gallery { display: grid; gap: 1.2rem;
  grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); }
.legend span { margin-right: .8rem; } .ink { color: CanvasText; }
.small, .empty { color: var(--soft); font-size: .85rem; overflow-wrap: anywhere; }
.badge { display: inline-block; padding: .2rem .8rem; border-radius: 1rem;
  border: 1px solid; font-weight: 600; }
.badge.pass { color: #2da44e; } .badge.fail { color: #cf222e; } .badge.not_enough_evidence { color: #d9822b; }
.box rect { fill: none; stroke-width: 2; vector-effect: non-scaling-stroke; stroke: currentColor; }
.box text { font-size: inherit; paint-order: stroke; stroke: #000c; stroke-width: 3px; }
.label { color: #3fdc70; } .old { color: #ff9f3d; }
.old rect { stroke-dasharray: 5 4; } .new { color: #58a6ff; }
@media print { section { break-inside: avoid-page; } }
""")


def render(store: Store, run_id: str) -> str:
    """The report of a run, ended or not, as one self-contained HTML file.

    Args:
        store: Knows the run.
        run_id: The run.

    Raises:
        NotFound: If there is no such run.
    """
    facts = gather(store, run_id)
    parts = [
        sections.verdict(facts),
        sections.comparison(facts),
        sections.scores(facts),
        sections.changed_images(store, facts),
        sections.data(facts),
        sections.learned_images(store, facts),
        sections.curves(facts),
        sections.recipe(facts),
        sections.origin(facts),
        sections.course(facts),
    ]
    page = element("html", _head(facts), element("body", *_title(facts), *parts), lang="en")
    return f"<!DOCTYPE html>\n{page}\n"


def _head(facts: Facts) -> Html:
    return element(
        "head",
        Html('<meta charset="utf-8">'),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        element("title", f"Run {facts.run.id}"),
        element("style", _STYLE),
    )


def _title(facts: Facts) -> list[Html | None]:
    run = facts.run
    started = f"Started by {run.actor} through {run.source}, {run.created_at:%Y-%m-%d %H:%M} UTC."
    written = f"Report of {utc_now():%Y-%m-%d %H:%M} UTC."
    return [
        element("h1", f"Run {run.id}"),
        element("p", f"{started} {written}", class_="small"),
        element("p", run.note) if run.note else None,
    ]
