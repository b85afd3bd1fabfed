"""What is measured: one row of the table each."""

from dataclasses import dataclass
from typing import Literal

from infra.refusal import Refusal

Kind = Literal["loop", "asgi", "bento", "image", "gateway"]
Precision = Literal["int8", "fp32"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """``target`` is what the server of an `asgi` or `bento` row loads; {kind} is the model's."""

    name: str
    title: str
    kind: Kind
    precision: Precision | None = "int8"
    target: str = ""


ROWS = (
    Row(name="loop-int8", title="raw ONNX Runtime session", kind="loop"),
    Row(name="loop-fp32", title="raw ONNX Runtime session", kind="loop", precision="fp32"),
    Row(
        name="echo",
        title="Starlette, echo",
        kind="asgi",
        precision=None,
        target="ci.bench.peers.echo:app",
    ),
    Row(
        name="fastapi-int8",
        title="FastAPI peer",
        kind="asgi",
        target="ci.bench.peers.fastapi_{kind}:app",
    ),
    Row(
        name="fastapi-fp32",
        title="FastAPI peer",
        kind="asgi",
        precision="fp32",
        target="ci.bench.peers.fastapi_{kind}:app",
    ),
    Row(
        name="bento-plain",
        title="BentoML, plain endpoint",
        kind="bento",
        target="ci.bench.peers.bento_{kind}:Plain",
    ),
    Row(
        name="bento-batching",
        title="BentoML, batching endpoint",
        kind="bento",
        target="ci.bench.peers.bento_{kind}:Batching",
    ),
    Row(name="hot-int8", title="our hot route", kind="image"),
    Row(name="hot-fp32", title="our hot route", kind="image", precision="fp32"),
)
GATEWAY = Row(name="gateway-int8", title="our hot route through the gateway", kind="gateway")


def chosen(names: str | None) -> list[Row]:
    """The rows of a comma-separated list, all of them for None; Refusal for an unknown name."""
    known = {row.name: row for row in ROWS}
    wanted = names.split(",") if names else list(known)
    for name in wanted:
        if name not in known:
            rule = f"the rows are {', '.join(known)}"
            raise Refusal("--rows", name, rule, "Take some of them, with commas between.")
    return [known[name] for name in wanted]
