"""What should run of a model in the inventory's environment: `lookup('release', NAME)`.

The release file is that of `yard ship`. While a canary is judged it is the version before: an edge
host has nobody beside it who would notice.
"""

from typing import Any

from ansible.errors import AnsibleLookupError

from ansible.plugins.lookup import LookupBase
from infra import environment
from infra.models import release
from infra.refusal import Refusal

DOCUMENTATION = """
name: release
short_description: what should run of a model in the inventory's environment
description:
  - version, digest, report and resources of the release file that `yard ship` writes.
options:
  _terms:
    description: Names of models.
"""


class LookupModule(LookupBase):  # type: ignore[misc]
    """One mapping for each name."""

    def run(self, terms: Any, variables: Any = None, **_: Any) -> list[dict[str, Any]]:
        """Read the files; AnsibleLookupError says what is wrong with one."""
        env = environment.load(str(variables["modelyard_environment"]["name"]))
        try:
            return [serving(env, str(name)).model_dump(mode="json") for name in terms]
        except Refusal as refused:
            raise AnsibleLookupError(str(refused)) from refused


def serving(env: environment.Environment, name: str) -> release.Serving:
    """The version that gets all requests; Refusal without one, or for one that needs GPUs."""
    found = release.read(env, name)
    if found is None:
        remedy = f"Ship it: `yard ship {name} --to {env.name}`."
        raise Refusal(f"release of {name}", None, f"there is none in {env.name}", remedy)
    stable = found.previous if found.weight is not None else found.serving
    assert stable is not None  # a release with a weight has one
    if stable.gpus:
        rule = "edge hosts give a service no GPU"
        raise Refusal(f"release of {name}: gpus", stable.gpus, rule, "Choose another model.")
    return stable
