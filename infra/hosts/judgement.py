"""Judges what hosts were seen to be: one finding per host and question, well, degraded or broken.

Ansible's modules observe (ansible/plugins/modules/host_report.py), this compares with
ansible/known-good.yml, and neither knows the other.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date

from infra.hosts import drivers
from infra.hosts.findings import Finding, Host, Report, State
from infra.hosts.known_good import KnownGood, Limit, within

Ask = Callable[[Host, Report, KnownGood], Iterator[Finding]]


def judge(host: Host, known: KnownGood) -> list[Finding]:
    """All findings of one host, the well ones too."""
    if host.report is None:
        rule = "the host has to answer"
        remedy = "Switch it on, or look at its network and at the SSH key."
        return [_finding(host, "reachable", State.BROKEN, host.unreachable, rule, remedy)]
    found = [_finding(host, "reachable", State.WELL, "yes", "the host has to answer", "")]
    asked: list[Ask] = [_units, _clock, _certificates, _disks, _network, _service]
    for ask in [*asked, *([_versions, _node, _gpus] if host.node else [])]:
        found += ask(host, host.report, known)
    return found


def _finding(
    host: Host, check: str, state: State, value: object, rule: str, remedy: str
) -> Finding:
    said = "" if state is State.WELL else remedy
    return Finding(
        host=host.name, check=check, state=state, value=str(value), rule=rule, remedy=said
    )


def _bad(wrong: object, otherwise: State = State.BROKEN) -> State:
    return otherwise if wrong else State.WELL


def _below(value: float, limit: Limit) -> State:
    if value < limit.broken:
        return State.BROKEN
    return _bad(value < limit.degraded, State.DEGRADED)


def _versions(host: Host, report: Report, known: KnownGood) -> Iterator[Finding]:
    server = re.search(r"Server:\s+Version:\s+v?([\d.]+)", report.containerd)
    rule = "containerd has to answer"
    yield _finding(
        host,
        "runtime",
        _bad(not server),
        server[1] if server else report.containerd,
        rule,
        "Start containerd.service there.",
    )
    kubelet = re.search(r"Kubernetes v([\d.]+)", report.kubelet)
    if not server or not kubelet:
        rule = "kubelet and containerd have to say their versions"
        remedy = "Run hosts.yml for this host."
        yield _finding(host, "versions", State.BROKEN, report.kubelet, rule, remedy)
        return
    value = f"Kubernetes {kubelet[1]}, containerd {server[1]}, {report.system}, {report.kernel}"
    good = any(
        within(kubelet[1], row.kubernetes)
        and any(within(server[1], one) for one in row.containerd)
        and report.system in row.systems
        for row in known.versions
    )
    rule = "ansible/known-good.yml has to list them together"
    remedy = "Try them, then add a row there; or install what a row says."
    yield _finding(host, "versions", _bad(not good, State.DEGRADED), value, rule, remedy)


def _units(host: Host, report: Report, _known: KnownGood) -> Iterator[Finding]:
    for unit, state in report.units.items():
        remedy = f"systemctl start {unit}, or look at journalctl -u {unit}, or run its playbook."
        yield _finding(
            host, f"unit {unit}", _bad(state != "active"), state, "it has to be active", remedy
        )


def _clock(host: Host, report: Report, known: KnownGood) -> Iterator[Finding]:
    limit = known.limits.clock_seconds
    state = _below(-report.clock_off, Limit(degraded=-limit.degraded, broken=-limit.broken))
    rule = f"at most {limit.degraded:g} s off from the machine that asks"
    yield _finding(
        host, "clock", state, f"{report.clock_off:g} s off", rule, "Repair its time service."
    )
    if not report.container:  # a container's clock is its machine's
        off = _bad(report.synchronized != "yes", State.DEGRADED)
        rule = "a time service keeps the clock"
        remedy = "Run the role base, and let the host reach its time servers."
        yield _finding(host, "time service", off, report.synchronized, rule, remedy)


def _certificates(host: Host, report: Report, known: KnownGood) -> Iterator[Finding]:
    limit = known.limits.certificate_days
    for path, days in report.certificates.items():
        state = State.BROKEN if isinstance(days, str) else _below(days, limit)
        value = days if isinstance(days, str) else f"{days:g} days left"
        rule = f"good for {limit.degraded:g} days more"
        remedy = (
            "Renew it: run hosts.yml for a kubelet's or a mirror's, kubeadm certs renew for others."
        )
        yield _finding(host, f"certificate {path}", state, value, rule, remedy)


def _disks(host: Host, report: Report, known: KnownGood) -> Iterator[Finding]:
    for path, room in report.disks.items():
        sizes, counts = known.limits.disk_free_gib, known.limits.inodes_free_percent
        state = max(_below(room["free_gib"], sizes), _below(room["inodes_percent"], counts))
        value = f"{room['free_gib']:g} GiB and {room['inodes_percent']:g} % of inodes free"
        rule = f"{sizes.degraded:g} GiB and {counts.degraded:g} % of inodes have to be free"
        yield _finding(host, f"disk {path}", state, value, rule, "Free some, or enlarge it.")


def _node(host: Host, _report: Report, _known: KnownGood) -> Iterator[Finding]:
    value = host.ready or "the API server does not know the node"
    remedy = "Look at kubectl describe node, and at the kubelet's journal."
    yield _finding(
        host, "node", _bad(host.ready != "True"), value, "the node has to be Ready", remedy
    )


def _gpus(host: Host, report: Report, _known: KnownGood) -> Iterator[Finding]:
    if not host.gpus:
        return
    rule = f"its pool promises {host.gpus}"
    if not host.simulated:
        yield from _driver(host, report)
    if host.mig:
        value = ", ".join(sorted(report.parts)) or "none"
        wrong = list(report.parts) != [host.mig] * host.gpus
        remedy = "Drain the node and run hosts.yml, or look at modelyard-mig.service."
        yield _finding(host, "parts of GPUs", _bad(wrong), value, f"{rule} of {host.mig}", remedy)
    elif not host.simulated:
        remedy = "Look at nvidia-smi and dmesg for XID errors."
        wrong = report.gpus != host.gpus
        yield _finding(host, "GPUs of the driver", _bad(wrong), report.gpus, rule, remedy)
    missing = host.allocatable < host.gpus
    remedy = "Look at the device plugin's pod on this node."
    yield _finding(host, "GPUs of the scheduler", _bad(missing), host.allocatable, rule, remedy)


def _driver(host: Host, report: Report) -> Iterator[Finding]:
    """Whether the driver is known, still gets fixes, and is the one that is installed."""
    row = drivers.row_of(drivers.load(), report.driver)
    known = row is not None and not drivers.ended(row, date.today())
    state = State.BROKEN if not report.driver else _bad(not known, State.DEGRADED)
    until = f", fixes until {row.until}" if row else ""
    rule = f"{drivers.NAME} has to list it, and its branch has to get fixes"
    remedy = (
        "Set nvidia_driver_version to one that is listed and run hosts.yml on the drained node."
    )
    value = f"{report.driver}{until}" if report.driver else "no driver runs"
    yield _finding(host, "driver", state, value, rule, remedy)
    waits = _bad(report.driver_next != report.driver, State.DEGRADED)
    rule = "the driver that runs is the one that the next start loads"
    remedy = "Drain the node and run hosts.yml with nvidia_driver_restart=true."
    yield _finding(host, "driver to come", waits, report.driver_next, rule, remedy)


def _network(host: Host, report: Report, _known: KnownGood) -> Iterator[Finding]:
    seen = f"asked from a {report.from_}"
    questions: Mapping[str, tuple[str | None, str]] = {
        "dns": (report.dns, "Look at the pods of CoreDNS, and at kube-proxy's on this node."),
        "service": (report.service, "Look at kube-proxy on this node."),
        "registry": (
            report.registry,
            "Look at the registry's pod, and at the role registry_trust.",
        ),
        **{
            f"pod on {node}": (
                answer,
                "Look at modelyard-routes.service, or Cilium's pods, on both nodes.",
            )
            for node, answer in report.pods.items()
        },
    }
    for check, (answer, remedy) in questions.items():
        if answer is not None:
            by = "asked from the host" if check == "registry" else seen
            value = f"{answer}, {by}" if answer else f"answers, {by}"
            yield _finding(host, check, _bad(answer), value, "it has to answer", remedy)


def _service(host: Host, report: Report, _known: KnownGood) -> Iterator[Finding]:
    for name, answer in report.answers.items():
        remedy = "Look at its unit, and at journalctl -u of it."
        yield _finding(host, name, _bad(answer), answer or "answers", "it has to answer", remedy)
    if report.image is not None:
        said = {} if report.image.startswith("complaint:") else json.loads(report.image)
        wanted, ready = said.get("wanted"), said.get("ready")
        value = f"{ready or 'none'} is ready, {wanted} is wanted" if said else report.image
        rule = "the wanted image has to be ready"
        remedy = "Look at journalctl -u modelyard-edge.service; ship a version that works."
        state = State.BROKEN if not ready else _bad(ready != wanted, State.DEGRADED)
        yield _finding(host, "image", state, value, rule, remedy)
