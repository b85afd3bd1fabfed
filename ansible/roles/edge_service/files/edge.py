"""Which image modelyard-edge.service runs: the wanted one, or the last good one if that failed.

    choose                before the start: write down which image it is
    settle URL SECONDS    after it: wait until the image is ready; it is the last good one then
    stopped               after the end: an image that never was good is not tried again
    state                 print, for whoever asks, what is wanted, good, and ready

It needs no network and nobody's help, so a host goes back also when whoever changed it is gone.
An image that was good once is started again for ever: a later crash changes no version.
"""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

NAME, UNIT = "modelyard-edge", "modelyard-edge.service"
WANTED = Path("/etc/modelyard-edge/wanted.env")
CHOSEN = Path("/run/modelyard-edge/chosen.env")
STATE = Path("/var/lib/modelyard-edge")
GOOD, PREVIOUS, FAILED = STATE / "good.env", STATE / "previous.env", STATE / "failed"
IMAGE, DIGEST = "MODELYARD_IMAGE", "MODELYARD_DIGEST"


def read(path: Path) -> dict[str, str]:
    """Settings of an environment file; none where there is no file."""
    if not path.is_file():
        return {}
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines if "=" in line)


def digest(path: Path) -> str:
    """Digest that an environment file names; '' where there is none."""
    return read(path).get(DIGEST, "")


def failed() -> str:
    """Digest that did not become ready; '' when there is none."""
    return FAILED.read_text().strip() if FAILED.is_file() else ""


def place(source: Path, target: Path) -> None:
    """Copy a file whole: a power cut leaves the old one or the new one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_suffix(".new")
    shutil.copyfile(source, fresh)
    with fresh.open("rb") as file:
        os.fsync(file.fileno())
    fresh.replace(target)


def choose() -> None:
    """The wanted image, unless it failed or is not here and another one is known to be good."""
    usable = digest(WANTED) != failed() and present(read(WANTED)[IMAGE])
    source = WANTED if usable or not digest(GOOD) else GOOD
    print(f"starting {digest(source)}" + ("" if source == WANTED else ", the last good one"))
    place(source, CHOSEN)


def settle(url: str, patience_s: float) -> None:
    """Wait until the chosen image is ready, and remember it; SystemExit when it is not in time."""
    deadline, trouble = time.monotonic() + patience_s, "it ended"
    while time.monotonic() < deadline and runs():
        trouble = unready(url, digest(CHOSEN))
        if not trouble:
            return promote()
        time.sleep(0.5)
    trouble = trouble if runs() else "it ended"
    # It has no request to finish, and may not heed being asked.
    podman("rm", "--force", "--ignore", "--time=0", NAME)
    sys.exit(f"{digest(CHOSEN)} is not ready: {trouble}")


def runs() -> bool:
    """Whether the unit's main process, which ends with the container, is there."""
    return Path(f"/proc/{os.environ['MAINPID']}").exists()


def unready(url: str, wanted: str) -> str:
    """Why the image does not serve; '' when it does, and says itself that it has the digest."""
    try:
        get(f"{url}/readyz")
        found = f'digest="{wanted}"' in get(f"{url}/metrics")
    except OSError as error:
        return str(error)
    return "" if found else f"something else answers at {url}"


def get(url: str) -> str:
    """What the service answers; OSError when it has another status than 200."""
    with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - the role says http
        text: str = answer.read().decode()
    return text


def promote() -> None:
    """The chosen image is the last good one; keep it and the one before, and no others."""
    if digest(GOOD) not in ("", digest(CHOSEN)):
        place(GOOD, PREVIOUS)
    place(CHOSEN, GOOD)
    if failed() == digest(GOOD):
        FAILED.unlink()
    kept = {digest(GOOD), digest(PREVIOUS)} | ({digest(WANTED)} - {failed()})
    name = read(GOOD)[IMAGE].split("/", 1)[0]
    listed = podman("images", "--no-trunc", "--format={{.ID}} {{.Digest}} {{.Repository}}")
    rows = [line.split() for line in listed.stdout.splitlines()]
    keep = {row[0] for row in rows if row[1] in kept}
    for image in {row[0] for row in rows if row[2].startswith(f"{name}/")} - keep:
        # What it could not remove podman says in the journal; the service runs.
        podman("rmi", "--force", image)


def stopped() -> None:
    """An image that failed before it was ever good is not chosen again, unless none is good."""
    if os.environ.get("SERVICE_RESULT") != "success" and digest(CHOSEN) != digest(GOOD):
        STATE.mkdir(parents=True, exist_ok=True)
        FAILED.write_text(digest(CHOSEN) + "\n")


def state() -> dict[str, str]:
    """Digests: wanted, good, failed, and ready, which is '' while none is."""
    active = subprocess.run(["systemctl", "is-active", "--quiet", UNIT]).returncode == 0
    told = {"wanted": digest(WANTED), "good": digest(GOOD), "failed": failed()}
    return told | {"ready": digest(CHOSEN) if active else ""}


def present(image: str) -> bool:
    """Whether the host has the image."""
    return podman("image", "exists", image).returncode == 0


def podman(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run podman; its complaints go where this program's go."""
    return subprocess.run(["podman", *arguments], stdout=subprocess.PIPE, text=True)


def main(what: str, *more: str) -> None:
    """Do one of the four."""
    if what == "settle":
        settle(more[0], float(more[1]))
    elif what == "state":
        print(json.dumps(state()))
    else:
        {"choose": choose, "stopped": stopped}[what]()


if __name__ == "__main__":
    main(*sys.argv[1:])
