"""When a download fails because nobody answers: told apart from every other failure of a tool."""

import re

_SIGNS = re.compile(
    "|".join(
        (
            # Go, uv, apt and the C library, each in its own words.
            "no such host",
            "[Tt]emporary failure (?:in name resolution|resolving)",
            "[Cc]ould not (?:resolve|connect)",
            "dns error",
            "error trying to connect",
            "dial (?:tcp|udp)",
            "[Cc]onnection (?:refused|timed out|failed)",
            "[Nn]etwork is unreachable",
            "[Nn]o route to host",
            "i/o timeout",
            "TLS handshake timeout",
            "tcp connect error",
        )
    )
)


class Unreachable(Exception):  # noqa: N818 - it names what is the matter
    """What is to be fetched cannot be had now; the text says what was wanted and what came."""


def check(wanted: str, said: str) -> None:
    """Raise Unreachable when a tool's last words say that nobody answers; else do nothing."""
    for line in reversed(said.splitlines()):
        if _SIGNS.search(line):
            raise Unreachable(f"{wanted}: {line.strip()[-300:]}")
