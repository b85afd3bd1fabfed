import itertools
from dataclasses import dataclass
from pathlib import Path

import pytest
from moto import mock_aws

from ci.pipeline import push
from ci.pipeline.push import PushError
from ci.report import silent
from infra import contract, environment
from infra.contract import Contract

DIGEST = "sha256:" + "a" * 64


@dataclass(frozen=True)
class Image:
    """An image to push; the fake skopeo never opens it."""

    name: str = "digits"
    version: str = "1.0.0"
    layout: Path = Path("/nowhere/image")
    digest: str = DIGEST


@pytest.fixture
def facts(tmp_path: Path) -> Contract:
    promised = contract.promised(environment.load("test"))
    return promised.model_copy(update={"credentials": tmp_path / "credentials"})


@pytest.fixture
def skopeo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Fake":
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return Fake(folder)


class Fake:
    """A skopeo that writes down its arguments, says something, and ends as it is told."""

    def __init__(self, folder: Path) -> None:
        self._program = folder / "skopeo"
        self._seen = folder / "arguments"

    def ends(self, *, code: int = 0, says: str = "", digest: str = DIGEST) -> None:
        self._program.write_text(
            "#!/bin/sh\n"
            f'for one in "$@"; do echo "$one" >> {self._seen}; done\n'
            'while [ "$1" != --digestfile ]; do shift; done\n'
            f'echo {digest} > "$2"\n'
            f"echo '{says}' >&2\nexit {code}\n"
        )
        self._program.chmod(0o755)

    def arguments(self) -> list[str]:
        return self._seen.read_text().splitlines()


def pushed(facts: Contract, name: str = "test") -> str:
    with push.access(environment.load(name), facts) as options:
        return push.push(Image(), facts, options, silent)


def test_the_registrys_digest_is_returned(facts: Contract, skopeo: Fake) -> None:
    skopeo.ends()

    assert pushed(facts) == DIGEST
    assert skopeo.arguments()[-2:] == [
        "oci:/nowhere/image:1.0.0",
        f"docker://{facts.registry.push}/digits:1.0.0",
    ]


def test_passwords_and_trust_come_from_files(facts: Contract, skopeo: Fake) -> None:
    skopeo.ends()
    pushed(facts)
    arguments = skopeo.arguments()

    after = dict(itertools.pairwise(arguments))
    assert after["--authfile"] == str(facts.credentials / "docker-config.json")
    assert after["--dest-cert-dir"] == str(facts.credentials / "trust")
    options = {word for word in arguments if word.startswith("--")}
    assert options == {
        "--quiet", "--authfile", "--dest-cert-dir", "--preserve-digests", "--digestfile",
    }  # fmt: skip


def test_an_image_that_changed_on_its_way_is_an_error(facts: Contract, skopeo: Fake) -> None:
    skopeo.ends(digest="sha256:" + "b" * 64)

    with pytest.raises(PushError, match=r"Nothing is released"):
        pushed(facts)


@pytest.mark.parametrize(
    ("says", "remedy"),
    [
        ("dial tcp 127.0.0.1:15443: connect: connection refused", "does not answer"),
        (
            "pinging container registry 127.0.0.1:15443: Get https://127.0.0.1:15443/v2/: EOF",
            "does not answer",
        ),
        ("unauthorized: authentication required", "repairs credentials"),
        ("x509: certificate signed by unknown authority", "not this environment"),
        ("manifest invalid", "the log of the registry"),
    ],
)
def test_a_failed_push_says_what_to_do(
    facts: Contract, skopeo: Fake, says: str, remedy: str
) -> None:
    skopeo.ends(code=1, says=says)

    with pytest.raises(PushError) as caught:
        pushed(facts)

    assert says in str(caught.value)
    assert remedy in str(caught.value)


def test_a_missing_skopeo_is_named(
    facts: Contract, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(PushError, match="skopeo is not installed"):
        pushed(facts)


def test_an_account_gives_out_a_password_whose_file_is_gone_afterwards(
    facts: Contract, skopeo: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    skopeo.ends()
    dev = environment.load("dev")
    assert dev.aws is not None
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("MOTO_ACCOUNT_ID", dev.aws.account)
    with mock_aws():
        pushed(contract.promised(dev), "dev")
    after = dict(itertools.pairwise(skopeo.arguments()))

    assert skopeo.arguments()[-1] == f"docker://{dev.aws.registry}/models/digits:1.0.0"
    assert "--dest-cert-dir" not in after
    assert not Path(after["--authfile"]).exists()
