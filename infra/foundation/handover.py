"""What the foundation hands to the platform and to models: outputs in the words of the contract."""

from typing import Any

import pulumi

from infra.foundation.cluster import Cluster
from infra.foundation.database import Database
from infra.foundation.entrance import Entrance
from infra.foundation.place import Place


def facts(
    place: Place,
    cluster: Cluster,
    entrance: Entrance,
    bucket: pulumi.Input[str],
    databases: dict[str, Database],
) -> dict[str, Any]:
    """What only AWS can tell. `infra.contract` joins it with what the environment decides."""
    return {
        "cluster": cluster.name,
        "api": cluster.endpoint,
        "authority": cluster.authority,
        "load_balancer": entrance.host,
        "artifacts": pulumi.Output.concat("s3://", bucket),
        "databases": {
            use: {"address": one.address, "secret": one.secret} for use, one in databases.items()
        },
        "region": place.region,
    }
