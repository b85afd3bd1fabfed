"""`yard predict NAME`."""

import json
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from ci.pipeline import prediction
from ci.yard import arguments, say
from ci.yard.picture import draw, pictures
from infra import contract, environment
from infra.refusal import Refusal

BRIGHTEST = 16
"""The bundled digits count from 0 to 16."""


def command(
    name: arguments.Model,
    within: arguments.Within = "local",
    input: Annotated[  # noqa: A002 - the option's name on the command line
        Path | None, typer.Option(help="JSON file with the request; else the model's example.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, max=100_000, help="Requests to send.")] = 1,
    json_: arguments.Json = False,
) -> None:
    """Ask a model for a prediction through the gateway, and show what was sent and answered."""
    facts = contract.load(environment.load(within))
    body = _read(input) if input else prediction.example(name)
    requests = _singles(body) if input is None else [body]
    with prediction.client(facts, name) as client:
        answers = [client.ask(requests[at % len(requests)]) for at in range(count)]
    if json_:
        say.document([answer.body for answer in answers] if count > 1 else answers[0].body)
        return
    if count > 1:
        _shares(answers)
    else:
        _one(requests[0], answers[0])
    say.following(f".venv/bin/yard status {within}")


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text())
    except FileNotFoundError:
        raise Refusal("--input", path, "the file does not exist", "Check its name.") from None
    except ValueError as error:
        raise Refusal("--input", path, f"not JSON: {error}", "Correct the file.") from None
    if not isinstance(document, dict):
        raise Refusal("--input", path, "a request is a JSON object", "Wrap it in one.")
    return document


def _singles(body: dict[str, Any]) -> list[dict[str, Any]]:
    """One request for each picture of an example; other examples stay whole."""
    found = pictures(body)
    return [{"images": [picture]} for picture in found] if found else [body]


def _one(request: dict[str, Any], answer: prediction.Answer) -> None:
    sent = pictures(request)
    print("sent:")
    print("\n".join(draw(picture, BRIGHTEST) for picture in sent) if sent else _pretty(request))
    for one in answer.body["predictions"]:
        print(f"answer: {one['label']}, probability {one['probability']:.4f}")
    print(f"model: {answer.body['model']['name']} {answer.version}, {answer.digest}")
    print(f"took: {answer.milliseconds:.1f} ms")


def _shares(answers: list[prediction.Answer]) -> None:
    counts = Counter((answer.version, answer.digest) for answer in answers)
    for (version, digest), number in sorted(counts.items()):
        print(f"{number:6} of {len(answers)} answered by {version} {digest}")
    times = sorted(answer.milliseconds for answer in answers)
    print(f"took: {times[len(times) // 2]:.1f} ms in the middle, {times[-1]:.1f} ms at most")


def _pretty(body: dict[str, Any]) -> str:
    return json.dumps(body)
