"""`yard bootstrap ENV`."""

from ci.pipeline.steps import Steps
from ci.yard import arguments, say
from ci.yard.progress import Progress
from infra import environment
from infra.foundation import place


def command(env: arguments.Environment) -> None:
    """Prepare an AWS account, once: bucket and key of Pulumi's state, and the deploy role."""
    # The SDK takes a second to import, which no other command needs.
    from ci.aws import account, bootstrap, survey

    loaded = environment.load(env)
    with Progress() as progress:
        steps = Steps(progress)
        with steps.step("account") as report:
            changed = bootstrap.run(loaded, report)
        with steps.step("compare"):
            aws = account.settings(loaded)
            disagreements = survey.compare(account.session(loaded), aws)
    for one in changed:
        say.line(f"made {one}")
    say.line(f"account {aws.account} is ready; {len(changed)} changed.")
    for each in disagreements:
        say.line(f"differs: {each.what}: the table says {each.believed}, AWS says {each.found}")
    for name, value in place.of(loaded, aws).state_variables.items():
        say.line(f"export {name}='{value}'")
    say.following(f".venv/bin/yard up {env}")
