from infra import places
from tests.conftest import ORDER


def test_the_order_names_every_file_that_drives_the_environment_once() -> None:
    folder = places.REPOSITORY / "tests"
    there = {
        f"{path.parent.name}/{path.name}"
        for name in ("system", "faults", "hosts")
        for path in (folder / name).glob("test_*.py")
    }

    assert set(ORDER) == there
    assert len(ORDER) == len(there)
