from pathlib import Path

import pytest
from pydantic import BaseModel

from infra import refusal
from infra.refusal import Refusal


class Wheel(BaseModel, extra="forbid"):
    size: int


class Cart(BaseModel, extra="forbid"):
    name: str
    wheels: list[Wheel] = []
    spare: Wheel | None = None


@pytest.mark.parametrize(
    ("text", "where", "rule", "remedy"),
    [
        ("name: a\ncolour: red\n", "colour", "Extra", "known keys there: name, wheels, spare."),
        ("name: a\nwheels: [{size: 1, rim: 2}]\n", "wheels.0.rim", "Extra", "there: size."),
        ("name: a\nspare: {rim: 2, size: 1}\n", "spare.rim", "Extra", "there: size."),
        ("wheels: []\n", "name", "required", "Add name."),
        ("name: a\nwheels: [{size: big}]\n", "wheels.0.size", "integer", "Set wheels.0.size"),
        ("name: a\nwheels: [{size: '1'}]\n", "wheels.0.size", "integer", "Set wheels.0.size"),
        ("name: a\nwheels: [{size: true}]\n", "wheels.0.size", "integer", "Set wheels.0.size"),
        ("name: a\nname: b\n", "", "name stands twice", "Correct the file."),
        ("name: [a\n", "", "not valid YAML", "Correct the file."),
        ("[]\n", "", "object", "Change it as the rule says."),
        ("", "", "object", "Change it as the rule says."),
    ],
)
def test_a_file_is_refused_at_its_first_fault(
    tmp_path: Path, text: str, where: str, rule: str, remedy: str
) -> None:
    path = tmp_path / "cart.yaml"
    path.write_text(text)

    with pytest.raises(Refusal) as refused:
        refusal.read(path, Cart)

    assert refused.value.where == (f"{path}: {where}" if where else str(path))
    assert rule in refused.value.rule
    assert remedy in refused.value.remedy
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="does not exist"):
        refusal.read(tmp_path / "cart.yaml", Cart)


def test_a_part_that_is_not_there_is_refused_by_its_key(tmp_path: Path) -> None:
    path = tmp_path / "cart.yaml"
    path.write_text("config: {}\n")

    with pytest.raises(Refusal, match=r"cart.yaml: cart is None: the key is required"):
        refusal.read(path, Cart, inside=("config", "cart"))


def test_a_long_value_is_cut(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as refused:
        refusal.check({"name": ["x" * 500]}, Cart, where="cart")

    assert len(str(refused.value)) < 300
