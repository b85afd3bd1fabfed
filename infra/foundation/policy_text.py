"""IAM documents as the text that resources take, also when parts are known only later."""

import pulumi

from infra.foundation import grants
from infra.foundation.grants import Statement


def of(*statements: Statement) -> pulumi.Output[str]:
    """The document of these statements."""
    return pulumi.Output.json_dumps(grants.document(*statements))
