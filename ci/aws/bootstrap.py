"""What must be in an account before any Pulumi program can run there: state, key, deploy role.

Each step looks first, so a second run changes nothing, and an interrupted one is completed by the
next. Nothing here deletes.
"""

from collections.abc import Callable

from ci.aws import account, deploy_role, state
from ci.report import Report
from infra import environment
from infra.environment import Environment
from infra.foundation import place
from infra.foundation.settings import Aws
from infra.refusal import Refusal


def run(env: Environment, report: Report) -> list[str]:
    """Make what is missing and correct what differs; returns what changed, in words.

    Raises Refusal for another account than the environment's, and where nobody could deploy.
    """
    aws = account.settings(env)
    if aws.github is None and not aws.admins:
        raise Refusal(
            f"Pulumi.{env.name}.yaml: aws.github",
            None,
            "neither github nor admins is set, so nobody could assume the deploy role",
            "Set aws.github, or name roles of people in aws.admins.",
        )
    _alone(env, aws)
    session = account.session(env)
    here = place.of(env, aws)
    steps: list[tuple[str, Callable[[], list[str]]]] = [
        ("public access", lambda: state.closed(session, here)),
        ("key", lambda: state.key(session, here)),
        ("bucket", lambda: state.bucket(session, here)),
        ("service roles", lambda: deploy_role.services(session)),
        ("GitHub", lambda: deploy_role.provider(session, here, aws)),
        ("deploy role", lambda: deploy_role.role(session, here, aws)),
    ]
    changed: list[str] = []
    for number, (name, step) in enumerate(steps):
        report(name, number, len(steps))
        changed += step()
    return changed


def _alone(env: Environment, aws: Aws) -> None:
    """Refuse an account that another environment's file names, too."""
    for name in environment.names():
        other = environment.load(name)
        if name != env.name and other.aws and other.aws.account == aws.account:
            raise Refusal(
                f"Pulumi.{env.name}.yaml: aws.account",
                aws.account,
                f"environment {name} has this account, and each has one of its own",
                f"Name another account here or in Pulumi.{name}.yaml.",
            )
