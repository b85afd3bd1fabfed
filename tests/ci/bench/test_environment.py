"""The rows run in the image's own environment."""

import re

from infra import places


def pins(path: str) -> dict[str, str]:
    text = (places.REPOSITORY / path).read_text()
    return dict(re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE))


def test_every_package_of_the_image_has_the_same_version_in_the_benchmark() -> None:
    image, bench = pins("services/serving/requirements.lock"), pins("ci/bench/requirements.lock")

    assert image
    assert image.items() <= bench.items()
    assert {"fastapi", "matplotlib", "py-spy"} <= set(bench)
