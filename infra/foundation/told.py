"""What only AWS can tell of a foundation: the output ``facts`` of its stack. No Pulumi in here."""

from infra.names import Closed


class Database(Closed):
    """Address of an instance, and ARN of the secret with its user and password."""

    address: str
    secret: str


class Told(Closed):
    """Outputs by the names that infra/foundation/handover.py gives them."""

    cluster: str
    api: str
    authority: str
    """Certificate of the cluster's authority, in base64."""
    load_balancer: str
    artifacts: str
    databases: dict[str, Database]
    region: str
