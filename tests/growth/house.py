"""What the platform's own components make for models, on an API server without the rest of it."""

from infra.contract import Contract
from infra.environment import Environment
from infra.platform import spaces
from infra.platform.admission import Admission, AdmissionArgs
from infra.platform.namespaces import Namespaces, NamespacesArgs
from tests.infra.conftest import Engine
from tests.infra.plugins.apiserver import ApiServer, whole

COLLECTIONS = {
    "Namespace": "/api/v1/namespaces",
    "ResourceQuota": "/api/v1/namespaces/{namespace}/resourcequotas",
    "ValidatingAdmissionPolicy": "/apis/admissionregistration.k8s.io/v1/"
    "validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": "/apis/admissionregistration.k8s.io/v1/"
    "validatingadmissionpolicybindings",
}


def furnish(server: ApiServer, env: Environment, facts: Contract) -> None:
    """Namespaces with their quotas, the admission policies, and the account of models.

    As the components register them. Nothing that would need a pod, a volume or a credential.
    """
    engine = Engine()

    def program() -> None:
        Admission("admission", AdmissionArgs(contract=facts))
        Namespaces("namespaces", NamespacesArgs(contract=facts, models=env.models))

    engine.run(program)
    for kind, collection in COLLECTIONS.items():
        for one in engine.created(kind):
            place = collection.format(namespace=one.inputs["metadata"].get("namespace"))
            server.create(f"{place}?fieldValidation=Strict", whole(one.inputs))
    account = {"metadata": {"name": spaces.MODEL_ACCOUNT}}
    server.create(f"/api/v1/namespaces/{spaces.MODELS}/serviceaccounts", account)
