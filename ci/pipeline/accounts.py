"""The cluster of an account, made by infra/foundation: what must be, and how it is handed over."""

from kubernetes import client

from ci.pipeline import account_images, backend, cluster, credentials, files, plugins, stacks
from ci.report import Report
from ci.toolchain import provide, supply
from infra import contract, places
from infra.contract import Contract, Image
from infra.environment import Environment
from infra.foundation import place
from infra.foundation.settings import Aws
from infra.foundation.told import Told


def require(env: Environment, aws: Aws) -> None:
    """Refuse, before anything is made, what could not be brought to its end."""
    from ci.aws import kubeconfig

    plugins.require(env)
    account_images.require(aws)
    kubeconfig.require()
    backend.of(env).require()


def share_credentials(env: Environment, aws: Aws) -> list[str]:
    """Use the account's credentials, and give it those that it lacks; returns what it was given."""
    from ci.aws import account, secret_store

    session, here = account.session(env), place.of(env, aws)
    secret_store.fetch(session, here, places.state(env.name) / "credentials")
    return secret_store.store(session, here, credentials.ensure(env))


def told(env: Environment) -> Told:
    """What the foundation says of the account; StackError before its first `up`."""
    outputs = stacks.Stack(env, "foundation").outputs()
    if "facts" not in outputs:
        raise stacks.StackError(
            "The foundation has told nothing of its cluster: its last run did not come to an end."
            f" Run `yard up {env.name}`."
        )
    return Told.model_validate(outputs["facts"])


def hand_over(env: Environment, found: Told, images: dict[str, Image]) -> bool:
    """Write kubeconfig and contract; whether either changed."""
    from ci.aws import kubeconfig

    crds = provide.definitions(supply.resolve(env))
    facts = contract.settled(env, found, images, crds)
    texts = {
        facts.kubeconfig: kubeconfig.text(found),
        contract.path(env.name): facts.model_dump_json(indent=1) + "\n",
    }
    changed = [path for path, text in texts.items() if files.update(path, text, 0o600)]
    return bool(changed)


def await_answer(facts: Contract, report: Report) -> None:
    """Ask the API server who it is; ClusterError with the usual reasons when it is silent."""
    report(f"asking {facts.api}", 0, 0)
    try:
        with cluster.connect(facts) as connection:
            client.VersionApi(connection).get_code(_request_timeout=cluster.PATIENCE_S)
    except cluster.ClusterError as error:
        raise cluster.ClusterError(
            f"{error}\nThe API server of an account is reached from its VPC alone, unless"
            " aws.api_access lists ranges: run this where the VPC can be reached. It goes on where"
            " it stopped."
        ) from error
