"""`yard predict NAME`."""

import json
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from ci.pipeline import prediction
from ci.yard import arguments, say
from ci.yard.nearest import lines, texts, vectors
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
    requests = _singles(body, count) if input is None else [body]
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


def _singles(body: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """One request for each picture of an example, or for each text; other examples stay whole."""
    if found := pictures(body):
        return [{"images": [picture]} for picture in found]
    if count > 1 and (sentences := texts(body)):
        return [{**body, "input": text} for text in sentences]
    return [body]


def _one(request: dict[str, Any], answer: prediction.Answer) -> None:
    print("sent:")
    print("\n".join(_sent(request)))
    if sentences := texts(request):
        print("\n".join(lines(sentences, vectors(answer.body))))
    for one in answer.body.get("predictions", ()):
        print(f"answer: {one['label']}, probability {one['probability']:.4f}")
    print(f"model: {answer.facts['name']} {answer.version}, {answer.digest}")
    print(f"took: {answer.milliseconds:.1f} ms")


def _sent(request: dict[str, Any]) -> list[str]:
    if found := pictures(request):
        return [draw(picture, BRIGHTEST) for picture in found]
    return [f"  {text}" for text in texts(request)] or [json.dumps(request)]


def _shares(answers: list[prediction.Answer]) -> None:
    counts = Counter((answer.version, answer.digest) for answer in answers)
    for (version, digest), number in sorted(counts.items()):
        print(f"{number:6} of {len(answers)} answered by {version} {digest}")
    times = sorted(answer.milliseconds for answer in answers)
    print(f"took: {times[len(times) // 2]:.1f} ms in the middle, {times[-1]:.1f} ms at most")
