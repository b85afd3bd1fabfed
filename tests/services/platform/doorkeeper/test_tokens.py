"""Tokens known by their hashes, in a file that may change at any time."""

import hashlib
from pathlib import Path

import pytest

from services.platform.doorkeeper.tokens import Tokens, UnsoundTokens


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    path.write_text(digest("first") + "\n")
    return path


def swap(path: Path, text: str) -> None:
    """As the kubelet does it: another file under the same name, at once."""
    other = path.with_suffix(".new")
    other.write_text(text)
    other.replace(path)


def test_the_token_whose_hash_stands_in_the_file_opens(path: Path) -> None:
    assert Tokens(path).opens("first")


@pytest.mark.parametrize("token", ["second", "", "first ", "First", digest("first"), "é\udcff"])
def test_any_other_token_does_not_open(path: Path, token: str) -> None:
    assert not Tokens(path).opens(token)


def test_two_hashes_both_open_while_a_token_is_rotated(path: Path) -> None:
    swap(path, f"{digest('first')}\n\n{digest('second')}\n")
    tokens = Tokens(path)

    assert tokens.opens("first")
    assert tokens.opens("second")


def test_a_token_stops_opening_when_its_hash_leaves_the_file(path: Path) -> None:
    tokens = Tokens(path)
    assert tokens.opens("first")

    swap(path, digest("second"))

    assert not tokens.opens("first")
    assert tokens.opens("second")


def test_a_file_that_did_not_change_is_not_read_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = Tokens(path)
    tokens.hashes()
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: pytest.fail("read again"))

    assert tokens.opens("first")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is empty"),
        ("\n \n", "is empty"),
        ("secret-token-itself\n", "line 1 is no sha256"),
        (f"{digest('a')}\n{digest('b').upper()}\n", "line 2 is no sha256"),
        ("é", "cannot be read"),
    ],
)
def test_a_file_that_holds_something_else_lets_nobody_in(path: Path, text: str, told: str) -> None:
    tokens = Tokens(path)
    assert tokens.opens("first")
    swap(path, text)

    for _ in range(2):  # the answer stays the same when it is asked again
        with pytest.raises(UnsoundTokens, match=told):
            tokens.opens("first")


def test_a_token_put_in_place_of_its_hash_is_not_shown(path: Path) -> None:
    swap(path, "secret-token-itself")

    with pytest.raises(UnsoundTokens) as failure:
        Tokens(path).hashes()

    assert "secret-token-itself" not in str(failure.value)


def test_a_missing_file_lets_nobody_in_until_it_is_back(path: Path) -> None:
    tokens = Tokens(path)
    text = path.read_text()
    path.unlink()

    with pytest.raises(UnsoundTokens, match="cannot be read"):
        tokens.opens("first")

    swap(path, text)
    assert tokens.opens("first")
