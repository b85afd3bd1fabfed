"""A download that nobody answers is told apart from a tool that failed."""

import os
from pathlib import Path

import pytest

from ci.report import silent
from ci.toolchain import debian, gobuild, network

SAID = [
    'go: x@v1: Get "https://proxy.test/x": dial tcp: lookup proxy.test: no such host',
    'go: x@v1: Get "https://proxy.test/x": dial tcp 192.0.2.1:443: connect: network is unreachable',
    'go: x@v1: read "https://proxy.test/x": net/http: TLS handshake timeout',
    "W: Failed to fetch http://archive.test/  Temporary failure resolving 'archive.test'",
    "E: Could not connect to archive.test:80 (192.0.2.1). - connect (113: No route to host)",
    "  Caused by: dns error: failed to lookup address information",
    "curl: (7) Failed to connect: Connection refused",
]


@pytest.mark.parametrize("line", SAID)
def test_silence_is_known_by_what_the_tool_says(line: str) -> None:
    with pytest.raises(network.Unreachable, match="what was wanted: "):
        network.check("what was wanted", f"first line\n{line}\nlast line\n")


@pytest.mark.parametrize(
    "line", ["undefined: x", "checksum mismatch", "404 Not Found", "no space left on device"]
)
def test_every_other_failure_stays_a_failure(line: str) -> None:
    network.check("what was wanted", line)


def test_a_build_without_modules_and_network_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "go.mod").write_text(
        "module example.test/a\n\ngo 1.26\n\nrequire example.test/b v1.0.0\n"
    )
    (tmp_path / "main.go").write_text(
        'package main\n\nimport _ "example.test/b"\n\nfunc main() {}\n'
    )
    # Nobody listens on the port of `discard`.
    silence = {"GOPROXY": "http://127.0.0.1:9", "GOFLAGS": "-mod=mod", "GONOSUMDB": "*"}
    caches = {"GOMODCACHE": str(tmp_path / "modules"), "GOTOOLCHAIN": "local"}

    with pytest.raises(network.Unreachable, match="connection refused"):
        gobuild.go(["list", "-deps", "."], tmp_path, os.environ | silence | caches)


def test_an_archive_that_does_not_answer_is_no_failure_of_its_tool() -> None:
    with pytest.raises(network.Unreachable, match="Could not resolve"):
        debian.follow(
            ["sh", "-c", "echo Could not resolve archive.test; exit 100"],
            dict(os.environ),
            (),
            silent,
        )
