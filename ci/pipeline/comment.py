"""One comment for each environment on a change at GitHub or GitLab, edited in place.

    comment.place(os.environ).put(text)

The first line of the text is a mark that no reader sees; by it the comment is found again. Only a
comment of our own is ever edited: anybody may write that mark.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from infra.refusal import Refusal

TIMEOUT_S = 30
MARK = re.compile(r"<!-- modelyard:preview:[a-z0-9-]+ -->")


class CommentError(Exception):
    """The forge did not take the comment; the text says what it answered."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the comments of one change are, and how a forge tells ours from others'."""

    comments: str
    """Address of the collection."""
    one: Callable[[Any], str]
    """Address of a comment, from its document."""
    verb: str
    """How an existing one is changed."""
    headers: Mapping[str, str]
    ours: Callable[[httpx.Client, Any], bool]

    def put(self, text: str) -> str:
        """Write the comment, or edit the one that is there; returns its address.

        Refusal when the text has no mark, CommentError when the forge refuses.
        """
        mark = text.partition("\n")[0]
        if not MARK.fullmatch(mark):
            rule = "the first line must be the mark of a preview"
            raise Refusal("comment", mark[:80], rule, "Use what `--format markdown` printed.")
        with httpx.Client(headers=dict(self.headers), timeout=TIMEOUT_S) as client:
            for found in self._comments(client):
                if str(found["body"]).startswith(mark) and self.ours(client, found):
                    return self._send(client, self.verb, self.one(found), text)
            return self._send(client, "POST", self.comments, text)

    def _comments(self, client: httpx.Client) -> Iterator[Any]:
        following: str | None = f"{self.comments}?per_page=100"
        while following:
            answer = client.get(following)
            _check(answer)
            yield from answer.json()
            following = answer.links.get("next", {}).get("url")

    def _send(self, client: httpx.Client, verb: str, address: str, text: str) -> str:
        _check(client.request(verb, address, json={"body": text}))
        return address


def place(variables: Mapping[str, str]) -> Place:
    """The change that a workflow of GitHub or GitLab runs for; Refusal outside of both."""
    if variables.get("GITHUB_ACTIONS") == "true":
        return _github(variables)
    if variables.get("GITLAB_CI") == "true":
        return _gitlab(variables)
    raise Refusal(
        "GITHUB_ACTIONS, GITLAB_CI",
        None,
        "a comment is written by a workflow of one of them",
        "Run this in a workflow, or read what `yard preview --format markdown` prints.",
    )


def _github(variables: Mapping[str, str]) -> Place:
    reference = _required(variables, "GITHUB_REF")
    number = re.fullmatch(r"refs/pull/([0-9]+)/merge", reference)
    if not number:
        rule = "it is not the merge of a pull request"
        raise Refusal("GITHUB_REF", reference, rule, "Run the workflow on pull_request.")
    base = f"{_required(variables, 'GITHUB_API_URL')}/repos/"
    base += f"{_required(variables, 'GITHUB_REPOSITORY')}/issues"
    return Place(
        comments=f"{base}/{number[1]}/comments",
        one=lambda found: f"{base}/comments/{int(found['id'])}",
        verb="PATCH",
        headers={
            "Authorization": f"Bearer {_required(variables, 'GITHUB_TOKEN')}",
            "Accept": "application/vnd.github+json",
        },
        # The token of a workflow may not ask who it is; people are of type User.
        ours=lambda _, found: found["user"]["type"] == "Bot",
    )


def _gitlab(variables: Mapping[str, str]) -> Place:
    api = _required(variables, "CI_API_V4_URL")
    notes = f"{api}/projects/{_required(variables, 'CI_PROJECT_ID')}/merge_requests/"
    notes += f"{_required(variables, 'CI_MERGE_REQUEST_IID')}/notes"

    def ours(client: httpx.Client, found: Any) -> bool:
        answer = client.get(f"{api}/user")
        _check(answer)
        return bool(answer.json()["id"] == found["author"]["id"])

    return Place(
        comments=notes,
        one=lambda found: f"{notes}/{int(found['id'])}",
        verb="PUT",
        headers={"PRIVATE-TOKEN": _required(variables, "GITLAB_TOKEN")},
        ours=ours,
    )


def _required(variables: Mapping[str, str], name: str) -> str:
    value = variables.get(name)
    if not value:
        raise Refusal(name, None, "the variable is required", f"Set {name} for this step.")
    return value


def _check(answer: httpx.Response) -> None:
    if not answer.is_success:
        method, address = answer.request.method, answer.request.url
        raise CommentError(f"{method} {address}: {answer.status_code} {answer.text[:500]}")
