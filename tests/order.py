"""An order among test files that share one environment."""

from collections.abc import Sequence

import pytest


def keep(items: list[pytest.Item], folder: str, files: Sequence[str]) -> None:
    """Sort ``folder``'s tests by their place in ``files``, behind all others."""

    def rank(item: pytest.Item) -> int:
        here = item.path.parent.name == folder and item.path.name in files
        return files.index(item.path.name) if here else -1

    items.sort(key=rank)
