"""Recording and alerting rules, as data. No pulumi here: promtool runs tests over the same text."""

from typing import Any

import yaml

from infra.contract import Contract
from infra.platform import scrapes


def rules(contract: Contract) -> str:
    """rules.yml."""
    permanent = scrapes.permanent(contract)
    groups = [
        {"name": "targets", "rules": [_down(), *map(_missing, permanent)]},
        {"name": "gateway", "rules": [*_gateway(), _certificate()]},
        {"name": "delivery", "rules": [_stopped()]},
    ]
    if contract.node_exporter:
        groups.append({"name": "hosts", "rules": [_disk(), *_clock(), _gpu()]})
    return yaml.safe_dump({"groups": groups}, sort_keys=False, width=100)


def _alert(
    name: str, expression: str, severity: str, summary: str, remedy: str, wait: str = "2m"
) -> dict[str, Any]:
    return {
        "alert": name,
        "expr": expression,
        "for": wait,
        "labels": {"severity": severity},
        "annotations": {"summary": summary, "remedy": remedy},
    }


def _down() -> dict[str, Any]:
    return _alert(
        "TargetDown",
        "up == 0",
        "warning",
        "{{ $labels.job }} at {{ $labels.instance }} does not answer.",
        "Look at the pod: kubectl -n {{ $labels.namespace }} describe pod {{ $labels.pod }}",
    )


def _missing(job: str) -> dict[str, Any]:
    return _alert(
        "TargetMissing",
        f'absent(up{{job="{job}"}})',
        "warning",
        f"{job} has no target at all.",
        "Run `yard up`, which puts back what is missing.",
    )


def _gateway() -> list[dict[str, Any]]:
    rate = "sum by (service) (rate(traefik_service_requests_total{%s}[5m]))"
    errors, all_of_them = rate % 'code=~"5.."', rate % ""
    record = "service:gateway_errors:ratio_rate5m"
    return [
        {"record": record, "expr": f"{errors} / {all_of_them}"},
        _alert(
            "GatewayErrors",
            f"{record} > 0.05",
            "critical",
            "More than 5 % of requests to {{ $labels.service }} fail.",
            "Look at `yard status` and `yard logs NAME`.",
        ),
    ]


def _certificate() -> dict[str, Any]:
    return _alert(
        "CertificateEnds",
        "min(traefik_tls_certs_not_after) - time() < 14 * 24 * 3600",
        "warning",
        "The gateway's certificate ends in less than two weeks.",
        "Run `yard up`, which renews it.",
    )


def _stopped() -> dict[str, Any]:
    return _alert(
        "RolloutStopped",
        # The controller's own words for what `kubectl` shows as Degraded.
        "max by (name, exported_namespace, phase) "
        '(rollout_info{phase=~"Abort|Timeout|Error|InvalidSpec"}) == 1',
        "warning",
        "The rollout of {{ $labels.name }} stopped: {{ $labels.phase }}.",
        "Look at `yard status`; release a version that works.",
    )


def _disk() -> dict[str, Any]:
    of_disks = 'fstype!~"tmpfs|ramfs|squashfs|iso9660"'
    free = f"node_filesystem_avail_bytes{{{of_disks}}} / node_filesystem_size_bytes{{{of_disks}}}"
    return _alert(
        "HostDiskNearlyFull",
        # The kubelet begins to evict at 10 % free, unless the disk is large.
        f"{free} < 0.15 and node_filesystem_readonly == 0",
        "warning",
        "{{ $labels.node }}: {{ $value | humanizePercentage }} of {{ $labels.mountpoint }} free.",
        "Look at what grows there: `yard validate`, then du -x on the host.",
        wait="15m",
    )


def _clock() -> list[dict[str, Any]]:
    remedy = "Look at timedatectl on the host, and at what base_time_servers names."
    return [
        _alert(
            "HostClockSkew",
            "abs(node_timex_offset_seconds) > 0.05",
            "warning",
            "The clock of {{ $labels.node }} is {{ $value | humanizeDuration }} off.",
            remedy,
            wait="10m",
        ),
        _alert(
            "HostClockNotSynchronised",
            "min_over_time(node_timex_sync_status[5m]) == 0",
            "warning",
            "Nothing sets the clock of {{ $labels.node }}.",
            remedy,
            wait="10m",
        ),
    ]


def _gpu() -> dict[str, Any]:
    return _alert(
        "HostGpuFault",
        # From the text file of the role gpu_health; hosts without GPUs have none.
        "modelyard_gpu_faults > 0",
        "warning",
        "A GPU of {{ $labels.node }} needs a person.",
        "Run `modelyard-gpu-health --look` on the host, and do what it says.",
    )
