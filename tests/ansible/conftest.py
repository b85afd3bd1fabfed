"""Playbooks of the fast tests run as Ansible itself runs them."""

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="package", autouse=True)
def _plain() -> Iterator[None]:
    """Without Mitogen, which pays from the second task on a host: most are refused in the first."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANSIBLE_STRATEGY", "linear")
        yield
