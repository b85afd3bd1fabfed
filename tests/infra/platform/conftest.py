"""The whole platform, run once against the recording engine; many tests ask it."""

import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from ci.pipeline import credentials
from infra import contract, environment
from infra.contract import Contract, Image
from infra.environment import Environment

if TYPE_CHECKING:
    from tests.infra.conftest import Engine

IMAGES = (
    "registry",
    "traefik",
    "argo-rollouts",
    "metrics-server",
    "prometheus",
    "local-path-provisioner",
    "shell",
    "doorkeeper",
    "gpu-device-plugin",
)
DEFINITION = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: {name}
  annotations: {{ controller-gen.kubebuilder.io/version: v0.14.0 }}
  creationTimestamp: null
spec:
  group: {group}
  names: {{ kind: Thing, plural: things }}
  scope: Namespaced
  versions:
    - name: v1alpha1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec: {{ type: object, x-kubernetes-preserve-unknown-fields: true }}
"""


class House(NamedTuple):
    """The recorded platform, with the facts that it was made from."""

    engine: "Engine"
    environment: Environment
    contract: Contract

    def containers(self) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
        """(owner/name, pod, container) of every pod that the platform makes."""
        for kind in ("Deployment", "DaemonSet"):
            for one in self.engine.created(kind):
                pod = one.inputs["spec"]["template"]["spec"]
                for container in [*pod.get("initContainers", []), *pod["containers"]]:
                    yield f"{one.name}/{container['name']}", pod, container


def build(folder: Path) -> Contract:
    """A contract of a cluster that is there: images, definitions and credentials are known."""
    here = environment.load("local")
    credentials.ensure(here)
    definitions = folder / "rollouts"
    definitions.mkdir()
    traefik = folder / "traefik.yml"
    traefik.write_text(
        "---\n".join(
            DEFINITION.format(name=name, group="traefik.io")
            for name in ("ingressroutes.traefik.io", "middlewares.traefik.io")
        )
    )
    (definitions / "rollout-crd.yaml").write_text(
        DEFINITION.format(name="rollouts.argoproj.io", group="argoproj.io")
    )
    (definitions / "README").write_text("no definition")
    made = contract.promised(here).model_copy(
        update={
            "promised": False,
            "images": {
                f"modelyard/{name}": Image(
                    reference=f"modelyard.internal/{name}:1",
                    digest="sha256:" + f"{number:x}".rjust(64, "0"),
                )
                for number, name in enumerate(IMAGES)
            },
            "crds": {"traefik": traefik, "rollouts": definitions},
        }
    )
    contract.path(here.name).write_text(made.model_dump_json())
    return made


def program() -> None:
    """What ``pulumi up`` runs."""
    runpy.run_module("infra.platform.__main__", run_name="__main__")


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory, new_engine: "type[Engine]") -> Iterator[House]:
    """The platform of `local` on a cluster that is there. Only to be looked at."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("state")
        patch.setenv("XDG_STATE_HOME", str(folder))
        made = build(folder)
        engine = new_engine()
        engine.run(program)
        yield House(engine, environment.load("local"), made)
