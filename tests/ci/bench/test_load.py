import json
from pathlib import Path

import pytest

from ci.bench import load
from ci.bench.load import Answer, Generator, LoadError, Target

MS = 1_000_000


def test_an_answer_that_was_sent_late_counts_from_when_it_should_have_been_sent() -> None:
    stalled = [Answer(0, 5 * MS, MS, 200), Answer(1, 6 * MS, MS, 200), Answer(2, 30 * MS, MS, 200)]

    assert load.scheduled(stalled, MS) == [MS, MS, 24 * MS]


def test_the_schedule_begins_so_that_no_request_was_early() -> None:
    late_at_first = [Answer(0, 9 * MS, MS, 200), Answer(1, 8 * MS, MS, 200)]

    assert load.scheduled(late_at_first, MS) == [3 * MS, MS]


def test_vegetas_lines_are_read_in_the_order_of_sending() -> None:
    lines = ["200,503,7,10,0,err,,,1,POST,http://x,", "100,200,9,10,20,,,,0,POST,http://x,"]

    assert load.answers(lines) == [Answer(0, 100, 9, 200), Answer(1, 200, 7, 503)]


def test_requests_are_json_lines_with_their_headers() -> None:
    target = Target(url="http://x", bodies=[b"a", b"b"], headers={"Authorization": "Bearer t"})

    lines = [json.loads(line) for line in target.lines().splitlines()]

    assert target.lines().endswith(b"\n")  # vegeta drops a last line that does not end
    assert [line["body"] for line in lines] == ["YQ==", "Yg=="]
    assert {line["header"]["Authorization"][0] for line in lines} == {"Bearer t"}


@pytest.fixture
def vegeta(tmp_path: Path) -> Generator:
    """A program that keeps its arguments and answers two requests, one of them failed."""
    program = tmp_path / "vegeta"
    program.write_text(
        f'#!/bin/sh\nif [ "$1" = attack ]; then echo "$@" > {tmp_path}/said; cat > /dev/null\n'
        'for one in "$@"; do case "$one" in -output=*) touch "${one#-output=}";; esac; done\n'
        "test ! -e broken || { echo 'no route' >&2; exit 1; }\nelse\n"
        "echo 1000000000,200,1000000,1,1,,,,0,POST,u,\n"
        "echo 1001000000,503,1000000,1,1,,,,1,POST,u,\nfi\n"
    )
    program.chmod(0o755)
    return Generator(program=program, cores="0", scratch=tmp_path)


TARGET = Target(url="http://x", bodies=[b"a"], headers={"Authorization": "Bearer hunter2"})


def test_failed_requests_are_counted_and_do_not_make_a_server_faster(vegeta: Generator) -> None:
    found = vegeta.closed(TARGET, 8, 1)

    assert (found.requests, found.failed) == (2, 1)
    assert found.rps == pytest.approx(500)


def test_a_closed_loop_has_as_many_workers_as_connections(
    vegeta: Generator, tmp_path: Path
) -> None:
    vegeta.closed(TARGET, 8, 2.5)

    said = (tmp_path / "said").read_text().split()
    assert {"-rate=0", "-workers=8", "-max-workers=8", "-connections=8"} <= set(said)
    assert "-duration=2.5s" in said


def test_no_secret_gets_into_the_arguments(vegeta: Generator, tmp_path: Path) -> None:
    vegeta.open(TARGET, 100, 1)

    assert "hunter2" not in (tmp_path / "said").read_text()


def test_a_load_generator_that_fails_says_why(
    vegeta: Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken").touch()

    with pytest.raises(LoadError, match="no route"):
        vegeta.closed(TARGET, 1, 1)
