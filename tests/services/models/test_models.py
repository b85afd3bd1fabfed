"""What is asked of every model of the repository, whatever it predicts."""

import subprocess
import sys

import pytest

from infra import places

FOLDER = places.REPOSITORY / "services/models"
MODELS = sorted(path.parent.name for path in FOLDER.glob("*/service.py"))
TRAINING = ("torch", "sklearn", "onnx", "safetensors", "scipy", "huggingface_hub")


def test_there_are_models() -> None:
    assert {"digits", "embed"} <= set(MODELS)


@pytest.mark.parametrize("model", MODELS)
def test_a_service_is_imported_without_any_training_library(model: str) -> None:
    program = (
        f"import sys, services.models.{model}.service, services.models.{model}.parameters\n"
        f"print([name for name in {TRAINING} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=places.REPOSITORY, capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("model", MODELS)
def test_a_card_says_where_the_model_fails(model: str) -> None:
    card = (FOLDER / model / "card.md").read_text()

    assert all(word in card for word in ("**Data:**", "**Model:**", "**Limits:**"))
