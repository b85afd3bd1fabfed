"""A preview as Markdown: one comment for an environment, the worst first, unchanged folded away.

GitHub and GitLab render the same text. The comment is cut to what GitHub takes; there is a full
text, too.
"""

import html
import re
from collections.abc import Iterator

from ci.pipeline import prices, properties
from ci.pipeline.events import Step, Violation
from ci.pipeline.preview import Preview
from ci.pipeline.properties import Property

LIMIT = 65_536
"""Bytes. GitHub takes that many characters in a comment, and a character is a byte or more."""
PROPERTIES = 60
"""Properties of one resource that the comment shows. The full text has all."""

# Heading of each kind of step, in the order in which a reviewer should read them.
ORDER = {
    "delete": "To be deleted",
    "replace": "To be replaced",
    "update": "To be updated",
    "create": "To be created",
}


def comment(preview: Preview, artifact: str) -> str:
    """The text of a comment: at most LIMIT bytes, with the artifact's name where it was cut."""
    blocks = list(_blocks(preview, PROPERTIES))
    whole = "\n".join(blocks)
    if len(whole.encode()) <= LIMIT:
        return whole
    ending = (
        "\n> **Cut here**: the text is longer than a comment may be. "
        f"All of it is in `full.md` of the artifact `{artifact}`.\n"
    )
    left = LIMIT - len(ending.encode())
    kept: list[str] = []
    for block in blocks:
        left -= len(block.encode()) + 1
        if left < 0:
            break
        kept.append(block)
    return "\n".join(kept) + ending


def full(preview: Preview) -> str:
    """All of it."""
    return "\n".join(_blocks(preview, None))


def marker(environment: str) -> str:
    """The first line: by it the comment is found again, to be edited in place."""
    return f"<!-- modelyard:preview:{environment} -->"


def _blocks(preview: Preview, longest: int | None) -> Iterator[str]:
    """Parts that are kept or cut as a whole."""
    costs = prices.difference(
        (step for op in ORDER for _, step in preview.steps(op)), preview.region
    )
    yield _head(preview, costs)
    violations = [found for changes in preview.projects.values() for found in changes.violations]
    if violations:
        yield f"### Refused by policy ({len(violations)})\n"
        yield from map(_violation, violations)
    for op, heading in ORDER.items():
        if op == "create" and costs.lines:
            yield _table(costs)  # before what is longest, and cut first
        found = list(preview.steps(op))
        if found:
            yield f"### {heading} ({len(found)})\n"
            yield from (_step(project, step, longest) for project, step in found)
    unchanged = [
        f"- {project}: {_markdown_name(urn)}"
        for project, changes in preview.projects.items()
        for urn in sorted(changes.unchanged)
    ]
    if unchanged:
        summary = f"<summary>{len(unchanged)} unchanged</summary>"
        yield "\n".join([f"<details>{summary}", "", *unchanged, "", "</details>", ""])


def _head(preview: Preview, costs: prices.Costs) -> str:
    counts = preview.counts()
    summary = ", ".join(f"{counts[op]} to {op}" for op in ORDER if counts[op]) or "no changes"
    lines = [
        marker(preview.environment),
        f"## Preview of `{preview.environment}`: {summary}, {counts['same']} unchanged",
        "",
    ]
    if preview.offline:
        lines += [f"> **Offline.** {preview.offline}", ""]
    return "\n".join([*lines, f"Monthly cost: {costs.summary()}.", ""])


def _step(project: str, step: Step, longest: int | None) -> str:
    found = properties.changed(step)
    told = found if longest is None else found[:longest]
    lines = [line for one in told for line in _lines(one)]
    if len(told) < len(found):
        lines.append(f"# … and {len(found) - len(told)} more properties: see the full text")
    remark = " · change; may replace" if step.uncertain else ""
    if not lines:
        return f"- {project}: {_markdown_name(step.urn)}{remark}\n"
    kind, name = (html.escape(part) for part in (step.kind, step.urn.rpartition("::")[2]))
    # HTML: GitLab renders no Markdown inside <summary>.
    title = f"{project}: <code>{kind}</code> <code>{name}</code>{remark}"
    opened = "" if step.op == "create" else " open"
    return "\n".join(
        [
            f"<details{opened}><summary>{title}</summary>",
            "",
            _fence(lines, "diff"),
            "",
            "</details>",
            "",
        ]
    )


def _lines(one: Property) -> Iterator[str]:
    remark = "  # makes a new one" if one.replaces else ""
    if one.before is not None:
        yield f"- {one.path}: {one.before}{remark}"
    if one.after is not None:
        yield f"+ {one.path}: {one.after}{remark}"


def _violation(found: Violation) -> str:
    says, *rest = found.text.splitlines()
    details = [f"  {line}" for line in _fence(rest, "text").splitlines()] if rest else []
    title = f"- **{found.policy}** {_markdown_name(found.urn)}: {_escaped(says)}"
    return "\n".join([title, "", *details, ""])


def _table(costs: prices.Costs) -> str:
    rows = [
        f"| {_markdown_name(line.urn)} | {_usd(line.before)} | {_usd(line.after)} |"
        for line in costs.lines
    ]
    head = ["| USD a month | before | after |", "| --- | ---: | ---: |"]
    return "\n".join([f"### Monthly cost: {costs.summary()}", "", *head, *rows, ""])


def _usd(cost: float | str | None) -> str:
    return "-" if cost is None else cost if isinstance(cost, str) else f"{cost:,.2f}"


def _markdown_name(urn: str) -> str:
    """Type and name of a resource, as code: neither can be Markdown, HTML or a mention."""
    kinds, _, name = urn.rpartition("::")
    kind = kinds.rpartition("::")[2].rpartition("$")[2]
    return " ".join(f"`{part.replace('`', '')}`" for part in (kind, name))


def _escaped(text: str) -> str:
    """Text that is neither Markdown nor HTML."""
    return re.sub(r"([\\`*_\[\]<>|#~])", r"\\\1", text)


def _fence(lines: list[str], language: str) -> str:
    """A code block that no line of its own can end."""
    longest = max((len(run) for line in lines for run in re.findall(r"`+", line)), default=0)
    ticks = "`" * max(3, longest + 1)
    return "\n".join([f"{ticks}{language}", *lines, ticks])
