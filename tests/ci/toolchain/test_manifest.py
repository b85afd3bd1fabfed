"""tools.toml: closed, and in step with what repeats its versions."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from pydantic import ValidationError

from ci.toolchain import gobuild, manifest
from infra import places

TOOLS = manifest.load()
FAMILIES = sorted(TOOLS.family)


def in_document(text: str, tmp_path: Path) -> manifest.Manifest:
    path = tmp_path / "tools.toml"
    path.write_text(text)
    return manifest.load(path)


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("[go]\n", "[go]\nmaximum = '2'\n", "go.maximum"),
        ('version = "3.6.8"', 'version = "3.6.8"\ncolour = "red"', "family.etcd.colour"),
        ("seconds = 60", "seconds = -1", "family.etcd.seconds"),
        ("seconds = 60", "seconds = 'soon'", "family.etcd.seconds"),
        ('suite = "bookworm"', "", "debian.suite"),
        ('wrapper = "pulumi"', "", "module_file.pulumi-language-python-exec.wrapper"),
    ],
)
def test_an_unsound_manifest_is_refused_at_its_key(
    old: str, new: str, key: str, tmp_path: Path
) -> None:
    text = (manifest.HERE / "tools.toml").read_text()
    assert old in text

    with pytest.raises(ValidationError) as refused:
        in_document(text.replace(old, new, 1), tmp_path)

    assert [".".join(map(str, fault["loc"])) for fault in refused.value.errors()] == [key]


@pytest.mark.parametrize("name", FAMILIES)
def test_a_familys_version_is_the_one_that_its_wrapper_requires(name: str) -> None:
    wrapper = manifest.wrapper(name)
    module = gobuild.module(TOOLS.family[name], wrapper)
    document = subprocess.run(
        ["go", "mod", "edit", "-json"], cwd=wrapper, capture_output=True, text=True, check=True
    ).stdout
    required = {one["Path"]: one["Version"] for one in json.loads(document)["Require"]}

    assert required[module] == f"v{TOOLS.family[name].version}"


@pytest.mark.parametrize("name", FAMILIES)
def test_the_versions_that_are_linked_in_are_the_familys(name: str) -> None:
    family = TOOLS.family[name]
    linked = [value for value in family.ldflags.values() if re.fullmatch(r"v?\d+\.\d+\.\d+", value)]

    assert {value.removeprefix("v") for value in linked} <= {family.version}
    for part, index in (("gitMajor", 0), ("gitMinor", 1)):
        for variable, value in family.ldflags.items():
            if variable.endswith(part):
                assert value == family.version.split(".")[index]


@pytest.mark.parametrize("name", FAMILIES)
def test_a_wrapper_needs_no_newer_go_than_the_manifest_asks(name: str) -> None:
    text = (manifest.wrapper(name) / "go.mod").read_text()
    asked = re.search(r"^go (\d+)\.(\d+)", text, re.MULTILINE)
    assert asked

    assert (int(asked[1]), int(asked[2])) <= tuple(
        int(part) for part in TOOLS.go.minimum.split(".")[:2]
    )


def test_each_wrapper_is_of_a_family() -> None:
    assert sorted(path.name for path in (manifest.HERE / "go").iterdir()) == FAMILIES


def test_the_engine_and_its_python_library_have_one_version() -> None:
    locked = (places.REPOSITORY / "requirements.lock").read_text()

    assert f"\npulumi=={TOOLS.family['pulumi'].version} " in locked


def test_an_estimate_does_not_change_what_is_built(tmp_path: Path) -> None:
    family = TOOLS.family["etcd"]
    wrapper = manifest.wrapper("etcd")

    dearer = family.model_copy(update={"seconds": 9999, "disk_gib": 99, "memory_gib": 9})
    assert dearer.key(wrapper) == family.key(wrapper)


def test_a_change_of_a_wrappers_own_code_changes_the_key(tmp_path: Path) -> None:
    wrapper = shutil.copytree(manifest.wrapper("cilium"), tmp_path / "cilium")
    before = TOOLS.family["cilium"].key(wrapper)
    assert before == TOOLS.family["cilium"].key(manifest.wrapper("cilium"))

    (wrapper / "agent" / "main.go").write_text("package main\n\nfunc main() {}\n")

    assert TOOLS.family["cilium"].key(wrapper) != before


@pytest.mark.parametrize(
    "change", [{"version": "9.9.9"}, {"ldflags": {"a": "b"}}, {"files": {"a": "b"}}]
)
def test_a_change_of_the_recipe_changes_the_key(change: dict[str, object]) -> None:
    family = TOOLS.family["etcd"]
    wrapper = manifest.wrapper("etcd")

    assert family.model_copy(update=change).key(wrapper) != family.key(wrapper)
