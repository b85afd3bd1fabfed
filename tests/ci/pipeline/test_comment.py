"""Comments of previews, written to a server that answers as GitHub and GitLab do."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from ci.pipeline import comment, markdown
from ci.pipeline.comment import CommentError
from infra.refusal import Refusal

TEXT = markdown.marker("dev") + "\n## Preview"
GITHUB = "/repos/example/modelyard/issues"
GITLAB = "/projects/7/merge_requests/3/notes"
PAGE = 2


class Forge(ThreadingHTTPServer):
    """Keeps comments, in pages of two, and what was asked of it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.comments: list[dict[str, Any]] = []
        self.asked: list[tuple[str, str]] = []
        self.tokens: set[str] = set()
        self.status = 200

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def has(self, body: str, **author: Any) -> None:
        person = {"type": "User", "id": 99} | author
        fields = {"id": len(self.comments) + 1, "body": body, "user": person, "author": person}
        self.comments.append(fields)

    def bodies(self) -> list[str]:
        return [found["body"] for found in self.comments]


class _Handler(BaseHTTPRequestHandler):
    server: Forge

    def do_GET(self) -> None:
        if self.path == "/user":
            return self._answer({"id": 1})
        page = int(self.path.partition("&page=")[2] or 1)
        found = self.server.comments[(page - 1) * PAGE : page * PAGE]
        here = self.path.partition("&page=")[0]
        more = len(self.server.comments) > page * PAGE
        link = f'<{self.server.url}{here}&page={page + 1}>; rel="next"' if more else ""
        return self._answer(found, link)

    def do_POST(self) -> None:
        self.server.has(self._body(), type="Bot", id=1)
        self._answer({})

    def do_PATCH(self) -> None:
        number = int(self.path.rpartition("/")[2])
        self.server.comments[number - 1]["body"] = self._body()
        self._answer({})

    def do_PUT(self) -> None:
        self.do_PATCH()

    def _body(self) -> str:
        return str(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["body"])

    def _answer(self, document: Any, link: str = "") -> None:
        self.server.asked.append((self.command, self.path))
        self.server.tokens |= {
            self.headers.get("Authorization", "") + self.headers.get("PRIVATE-TOKEN", "")
        }
        self.send_response(self.server.status)
        if link:
            self.send_header("Link", link)
        self.end_headers()
        self.wfile.write(json.dumps(document).encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def forge() -> Iterator[Forge]:
    server = Forge()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def github(forge: Forge) -> dict[str, str]:
    return {
        "GITHUB_ACTIONS": "true",
        "GITHUB_API_URL": forge.url,
        "GITHUB_REPOSITORY": "example/modelyard",
        "GITHUB_REF": "refs/pull/12/merge",
        "GITHUB_TOKEN": "t0ken",
    }


def gitlab(forge: Forge) -> dict[str, str]:
    return {
        "GITLAB_CI": "true",
        "CI_API_V4_URL": forge.url,
        "CI_PROJECT_ID": "7",
        "CI_MERGE_REQUEST_IID": "3",
        "GITLAB_TOKEN": "t0ken",
    }


def test_the_first_preview_of_a_change_becomes_a_comment(forge: Forge) -> None:
    comment.place(github(forge)).put(TEXT)

    assert forge.bodies() == [TEXT]
    assert forge.asked[-1] == ("POST", f"{GITHUB}/12/comments")
    assert forge.tokens == {"Bearer t0ken"}


def test_a_further_preview_edits_it_in_place_also_on_a_later_page(forge: Forge) -> None:
    for text in ("one", "two", "three"):
        forge.has(text)
    comment.place(github(forge)).put(TEXT)
    comment.place(github(forge)).put(TEXT + " again")

    assert forge.bodies() == ["one", "two", "three", TEXT + " again"]
    assert forge.asked[-1] == ("PATCH", f"{GITHUB}/comments/4")


def test_every_environment_has_a_comment_of_its_own(forge: Forge) -> None:
    for name in ("dev", "prod", "dev"):
        comment.place(github(forge)).put(markdown.marker(name) + "\ntext")

    assert [body.splitlines()[0] for body in forge.bodies()] == [
        markdown.marker("dev"),
        markdown.marker("prod"),
    ]


def test_what_a_person_wrote_is_never_edited_even_with_our_mark(forge: Forge) -> None:
    forge.has(TEXT + " by a person")
    comment.place(github(forge)).put(TEXT)

    assert forge.bodies() == [TEXT + " by a person", TEXT]


def test_gitlab_gets_the_same_text_as_a_note_and_its_own_note_is_edited(forge: Forge) -> None:
    forge.has(TEXT + " by a person")
    comment.place(gitlab(forge)).put(TEXT)
    comment.place(gitlab(forge)).put(TEXT + " again")

    assert forge.bodies() == [TEXT + " by a person", TEXT + " again"]
    assert forge.asked[-1] == ("PUT", f"{GITLAB}/2")
    assert forge.tokens == {"t0ken"}


def test_a_forge_that_refuses_is_an_error_with_its_answer_and_without_the_token(
    forge: Forge,
) -> None:
    forge.status = 403

    with pytest.raises(CommentError, match="403") as refused:
        comment.place(github(forge)).put(TEXT)
    assert "t0ken" not in str(refused.value)


def test_a_text_without_the_mark_is_refused_before_anything_is_asked(forge: Forge) -> None:
    with pytest.raises(Refusal, match="first line must be the mark"):
        comment.place(github(forge)).put("## Preview")

    assert forge.asked == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"GITHUB_REF": "refs/heads/main"}, "not the merge of a pull request"),
        ({"GITHUB_TOKEN": ""}, "GITHUB_TOKEN"),
        ({"GITHUB_ACTIONS": ""}, "GITHUB_ACTIONS"),
    ],
)
def test_outside_of_a_change_or_without_a_token_it_is_refused(
    forge: Forge, change: dict[str, str], says: str
) -> None:
    with pytest.raises(Refusal, match=says):
        comment.place(github(forge) | change)
