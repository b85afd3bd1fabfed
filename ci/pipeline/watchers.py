"""Room for inotify instances; where they run out, the kubelet only says "too many open files".

The kernel counts them per user, over all containers, and root's nodes share root's. The limit
belongs to the machine, so it is checked and never set.
"""

from pathlib import Path

from infra.refusal import Refusal

PER_NODE = 18
"""What a node holds, all as root: 26 on a control plane, 13 on a worker (counted)."""

LIMIT = Path("/proc/sys/fs/inotify/max_user_instances")


def require(nodes: int, limit: Path = LIMIT, processes: Path = Path("/proc")) -> None:
    """Refuse to start ``nodes`` that could not run; counts what this user may see."""
    allowed = int(limit.read_text())
    used = count(processes)
    if used + nodes * PER_NODE > allowed:
        raise Refusal(
            "fs.inotify.max_user_instances",
            allowed,
            f"root uses {used} of them, and {nodes} nodes need {nodes * PER_NODE} more",
            "As root, run: sysctl -w fs.inotify.max_user_instances=512"
            " (or take another environment down first).",
        )


def count(processes: Path) -> int:
    """Inotify instances of root's processes, containers included."""
    found = 0
    for process in processes.glob("[0-9]*"):
        try:
            if process.stat().st_uid == 0:
                found += sum(_watches(file) for file in (process / "fd").iterdir())
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it ended meanwhile, or this user may not look
    return found


def _watches(file: Path) -> bool:
    try:
        return str(file.readlink()) == "anon_inode:inotify"
    except FileNotFoundError:
        return False
