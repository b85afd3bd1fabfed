"""`yard backup ENV`."""

from ci.pipeline import backups
from ci.pipeline.steps import Steps
from ci.yard import arguments, say
from ci.yard.progress import Progress
from infra import environment, places


def command(env: arguments.Environment) -> None:
    """Back up a cluster of hosts: etcd, keys, this machine's state, the registry, encrypted."""
    loaded = environment.load(env)
    with Progress() as progress:
        steps = Steps(progress, places.cache() / "timings" / f"backup-{env}.json")
        with steps.step("backup") as report:
            folder, made = backups.make(loaded, report)
    steps.remember()
    size = sum(file.size for file in made.files.values()) / 1024**2
    say.line(f"{folder}: {size:.1f} MiB with {len(made.images)} images, of {made.made}.")
    say.line(f"It is encrypted to {', '.join(made.recipients)}.")
    for name in made.missing:
        say.line(f"not in the registry, though a release names it: {name}.")
    say.following("keep a copy of the key elsewhere: docs/backup.md says which")
