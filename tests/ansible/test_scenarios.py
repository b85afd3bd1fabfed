"""Every role is tried in two scenarios, twice, with a check that can fail: roles.yml says where."""

from typing import Any

import pytest
import yaml

from infra import places
from tests.ansible.test_roles import ROLES

HOSTS = places.REPOSITORY / "tests" / "hosts"
FOUND: dict[str, dict[str, str]] = yaml.safe_load((HOSTS / "roles.yml").read_text())
TESTS = ("default", "alternative", "again", "empty")


class _Names:
    """A plugin of pytest that remembers which tests there are."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.names = {f"{item.path.name}::{item.name}" for item in session.items}


@pytest.fixture(scope="module")
def collected() -> set[str]:
    """All tests of hosts, as roles.yml names them; pytest itself lists them."""
    found = _Names()
    options = ["--collect-only", "-qqq", "-p", "no:cacheprovider", "-m", "hosts or scenarios"]
    assert pytest.main([*options, str(HOSTS)], plugins=[found]) == 0
    return found.names


def test_every_role_says_where_it_is_tried_and_no_other_does() -> None:
    assert list(FOUND) == ROLES


@pytest.mark.parametrize("role", FOUND)
def test_a_role_has_two_scenarios_a_second_run_and_a_check_that_fails_on_an_empty_host(
    role: str, collected: set[str]
) -> None:
    entry: dict[str, Any] = FOUND[role]

    assert {*entry} - {"act"} == {*TESTS, "with"}
    assert [entry[key] for key in TESTS if entry[key] not in collected] == []
    assert len({entry["default"], entry["alternative"]} - {entry["again"], entry["empty"]}) == 2


def test_the_page_about_hosts_leads_there() -> None:
    page = (places.REPOSITORY / "docs" / "hosts.md").read_text()

    assert "`tests/hosts/roles.yml`" in page


def test_every_role_but_an_act_has_a_second_run_without_changes() -> None:
    acts = {role for role, entry in FOUND.items() if "act" in entry}

    assert acts == {"backup", "etcd_restore"}
    for entry in (entry for role, entry in FOUND.items() if role not in acts):
        test = entry["again"].split("::")[1]
        assert "second_run" in test
        assert "nothing" in test or "none" in test
