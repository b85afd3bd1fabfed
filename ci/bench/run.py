"""A whole benchmark: measure round after round, and judge."""

from ci.bench import aims, gateway, measure
from ci.bench.results import Results, Round, machine
from ci.bench.rows import GATEWAY, Row
from ci.bench.stage import Stage
from ci.pipeline import bento
from ci.report import Report
from infra.contract import Contract


def rows(
    chosen: list[Row], stage: Stage, number: int, seconds: float, command: str, report: Report
) -> Results:
    """Measure rows side by side; ``command`` is what a person types to do the same."""
    rounds = measure.rounds(chosen, stage, number=number, seconds=seconds, report=report)
    return _results(stage.model, list(rounds), seconds, command)


def through_gateway(
    contract: Contract, stage: Stage, number: int, seconds: float, command: str, report: Report
) -> Results:
    """Measure the way through an environment's gateway."""
    rounds: list[Round] = []
    for at in range(number):
        report(f"round {at + 1}: {GATEWAY.name}", at, number)
        rounds.append({GATEWAY.name: gateway.measured(contract, stage, seconds)})
    return _results(stage.model, rounds, seconds, command)


def _results(model: str, rounds: list[Round], seconds: float, command: str) -> Results:
    return Results(
        model=model,
        version=bento.load(model).version,
        command=command,
        seconds=seconds,
        machine=machine(),
        rounds=rounds,
        verdicts=aims.judge(model, rounds),
    )
