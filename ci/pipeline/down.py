"""Take an environment away; only the cache of built things stays."""

from ci.pipeline import engine, hosts, lock
from ci.pipeline.steps import Steps
from infra import places
from infra.environment import Environment


def run(env: Environment, steps: Steps) -> None:
    """Remove containers, volumes, networks and state; stop the engine if `yard up` started it.

    Deletes no Kubernetes objects first: they vanish with the nodes that they are on.
    """
    with lock.hold(env.name):
        with steps.step("hosts") as report:
            if (places.state(env.name) / "hosts").exists() or engine.answers() is not None:
                engine.ensure(report)
                hosts.down(env, report)
        with steps.step("state"):
            lock.free(env.name)
    with steps.step("engine"):
        engine.stop_if_ours()
    steps.remember()
