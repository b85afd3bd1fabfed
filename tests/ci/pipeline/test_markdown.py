"""Comments from recorded previews, which tests/ci/pipeline/previews/record.py makes."""

import json
import re
from typing import Any

import pytest

from ci.pipeline import markdown
from ci.pipeline.events import Changes, Step, Violation
from ci.pipeline.preview import Preview
from tests.ci.pipeline.previews import record

URN = "urn:pulumi:test::modelyard::kubernetes:core/v1:ConfigMap::"
HEADING = re.compile(r"^### (.*?) \(", re.MULTILINE)


def preview(*steps: Step, **fields: Any) -> Preview:
    changes = Changes(create=len(steps), steps=list(steps), **fields)
    return Preview("test", {"platform": changes})


def created(name: str, inputs: dict[str, Any]) -> Step:
    return Step(URN + name, "create", metadata={"new": {"inputs": inputs}})


def updated(name: str, old: Any, new: Any, **diff: str) -> Step:
    detailed = {path: {"diffKind": kind} for path, kind in diff.items()}
    metadata = {"old": {"inputs": old}, "new": {"inputs": new}, "detailedDiff": detailed}
    return Step(URN + name, "update", metadata=metadata)


@pytest.mark.parametrize("name", record.NAMES)
def test_a_recorded_preview_is_told_as_its_golden_file_says(name: str) -> None:
    golden = (record.HERE / f"{name}.md").read_text()

    assert record.rendered(name) == golden, "look at the difference; see record.py"


def test_refusals_come_first_then_deletions_and_replacements() -> None:
    headings = HEADING.findall(record.rendered("refused"))

    assert headings == [
        "Refused by policy",
        "To be deleted",
        "To be replaced",
        "To be updated",
        "To be created",
    ]


def test_what_stays_is_folded_away() -> None:
    text = record.rendered("nothing")

    assert "no changes" in text.splitlines()[1]
    assert text.index("<details><summary>") < text.index("`kept`")


@pytest.mark.parametrize("name", record.NAMES)
def test_no_secret_of_the_program_is_shown(name: str) -> None:
    text = markdown.full(record.read(name))

    assert "hunter2" not in text
    # A password that the program forgot to mark as one.
    assert "forgotten" not in text


def test_a_change_of_a_secret_is_shown_without_either_value() -> None:
    assert "- stringData.token: [secret]\n+ stringData.token: [secret]" in record.rendered(
        "changes"
    )


def test_what_a_kubernetes_secret_holds_is_never_shown() -> None:
    old, new = ({"kind": "Secret", "data": {"a": text}} for text in ("b25l", "dHdv"))
    text = markdown.full(preview(updated("s", old, new, **{"data.a": "update"}), created("t", new)))

    assert "b25l" not in text
    assert "dHdv" not in text
    assert text.count("[secret]") == 3


def test_a_value_that_only_up_can_tell_says_so() -> None:
    assert "+ data.ip: not known yet" in record.rendered("changes")


def test_what_makes_a_resource_anew_is_marked_at_its_property() -> None:
    assert re.search(r"matchLabels\.app: .*  # makes a new one", record.rendered("changes"))


def test_a_value_cannot_end_its_code_block() -> None:
    text = markdown.full(preview(created("a", {"text": "```\n# heading\n```` x"})))

    assert "`````diff" in text
    assert "\n# heading" not in text


def test_a_name_can_be_neither_html_nor_markdown_nor_a_mention() -> None:
    text = markdown.full(
        preview(created("<img src=x> **@team** `x`", {"a": 1}), unchanged=[URN + "`<b>`"])
    )

    assert "<img" not in text
    assert "<code>&lt;img src=x&gt; **@team** `x`</code>" in text
    assert "`<b>`" in text


def test_a_refusal_shows_rule_fault_and_remedy() -> None:
    found = Violation(URN + "bad", "probed", "Probes!\nmain: no livenessProbe\nGive it one.")
    text = markdown.full(preview(violations=[found]))

    assert "- **probed** `kubernetes:core/v1:ConfigMap` `bad`: Probes!" in text
    assert "main: no livenessProbe\n  Give it one." in text


def test_a_comment_is_cut_at_a_resource_and_names_the_artifact_with_the_rest() -> None:
    many = preview(*(created(f"c-{n:04}", {"text": "ü" * 290}) for n in range(400)))
    comment = markdown.comment(many, "preview-test")

    assert len(markdown.full(many).encode()) > markdown.LIMIT
    assert len(comment.encode()) <= markdown.LIMIT
    assert comment.rstrip().endswith("`full.md` of the artifact `preview-test`.")
    assert comment.count("<details") == comment.count("</details>")
    assert comment.count("```") % 2 == 0


def test_a_comment_that_fits_is_the_whole_text() -> None:
    assert record.rendered("changes") == markdown.full(record.read("changes"))


def test_many_properties_are_counted_in_the_comment_and_told_in_the_full_text() -> None:
    long = preview(created("a", {f"key{n:03}": n for n in range(100)}))

    assert "… and 40 more properties" in markdown.comment(long, "x")
    assert "key099" in markdown.full(long)


def test_a_long_value_is_cut_and_its_length_told() -> None:
    text = markdown.full(preview(created("a", {"text": "x" * 1000})))

    assert "… (1002 characters)" in text


def test_the_first_line_is_the_mark_by_which_the_comment_is_found_again() -> None:
    assert record.rendered("nothing").splitlines()[0] == markdown.marker("test")


def test_the_same_changes_in_another_order_make_the_same_text() -> None:
    steps = [created(name, {"a": 1}) for name in "abc"]

    assert markdown.full(preview(*steps)) == markdown.full(preview(*reversed(steps)))


def test_an_offline_preview_says_so_first_and_what_it_cannot_know() -> None:
    step = Step(URN + "a", "update", uncertain=True)
    found = Preview("dev", {"foundation": Changes(update=1, steps=[step])}, offline="Nobody asked.")
    lines = markdown.full(found).splitlines()

    assert "> **Offline.** Nobody asked." in lines[:4]
    assert any(line.endswith("change; may replace") for line in lines)


def test_the_recordings_hold_no_secret_that_the_engine_masked() -> None:
    for name in record.NAMES:
        text = (record.HERE / f"{name}.jsonl").read_text()
        assert "hunter2" not in text
        assert json.loads(text.splitlines()[0])
