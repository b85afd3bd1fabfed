"""Take an environment away; only the cache of built things stays."""

from ci.pipeline import engine, hosts, lock, stacks, workplace
from ci.pipeline.steps import Steps
from infra import contract, places
from infra.environment import Environment
from infra.refusal import Refusal


def run(env: Environment, steps: Steps, *, take: bool = False) -> None:
    """Remove containers, volumes, networks and state; stop the engine if `yard up` started it.

    Deletes no Kubernetes objects first: they vanish with the nodes that they are on. With ``take``
    also what another checkout brought up. Raises Refusal for an environment that is protected, that
    is not of this machine, or that a command works on.
    """
    allowed(env)
    if env.cluster.substrate == "existing":
        _leave(env, steps, take=take)
        return
    with lock.hold(env.name, take=take):
        with steps.step("hosts") as report:
            if (places.state(env.name) / "hosts").exists() or engine.answers() is not None:
                engine.ensure(report)
                hosts.down(env, report)
        with steps.step("state"):
            lock.free(env.name)
    with steps.step("engine"):
        engine.stop_if_ours()
    steps.remember()


def _leave(env: Environment, steps: Steps, *, take: bool) -> None:
    """Delete from a team's cluster what Pulumi made there, and nothing else.

    Images stay in its registry. What fails leaves the state, so that the command can go on later.
    """
    with lock.hold(env.name, take=take):
        if contract.path(env.name).is_file():
            stacks.prepare(env)
            for project in reversed(workplace.projects(env)):
                with steps.step(project) as report:
                    stacks.Stack(env, project).destroy(report)
        with steps.step("state"):
            lock.free(env.name)
    steps.remember()


def allowed(env: Environment) -> None:
    """Refuse to take away what is protected, and what `yard up` did not make."""
    if env.protected:
        raise Refusal(
            f"Pulumi.{env.name}.yaml: protected",
            True,
            "a protected environment is not taken away",
            "Set protected to false in a commit that says why, and deploy that first.",
        )
    if env.cluster.substrate == "aws":
        raise Refusal(
            f"Pulumi.{env.name}.yaml: cluster.substrate",
            env.cluster.substrate,
            "an account is not taken away by one command",
            "Run `pulumi destroy` for models, platform and foundation, in this order.",
        )
