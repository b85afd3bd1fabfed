from pathlib import Path

import pytest

from ci.yard import validate
from infra.refusal import Refusal


def test_hosts_that_are_not_there_are_refused_with_the_command_that_makes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    with pytest.raises(Refusal, match="yard up local"):
        validate.command("local")
