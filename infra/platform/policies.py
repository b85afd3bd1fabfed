"""Who may speak to whom. Every namespace denies all; a component allows what it needs, by port."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs
from pulumi_kubernetes.networking.v1 import (
    IPBlockArgs,
    NetworkPolicy,
    NetworkPolicyEgressRuleArgs,
    NetworkPolicyIngressRuleArgs,
    NetworkPolicyPeerArgs,
    NetworkPolicyPortArgs,
    NetworkPolicySpecArgs,
)

from infra.contract import Contract
from infra.platform import pods, spaces

_NAMESPACE = "kubernetes.io/metadata.name"
CILIUM = "cilium"


@dataclass(frozen=True)
class Talk:
    """Peers and the TCP ports on which they are spoken to; no peers means anybody."""

    peers: tuple[NetworkPolicyPeerArgs, ...]
    ports: tuple[int, ...]
    udp: tuple[int, ...] = ()

    def numbers(self) -> list[NetworkPolicyPortArgs]:
        """The ports as a policy writes them."""
        tcp = [NetworkPolicyPortArgs(port=port, protocol="TCP") for port in self.ports]
        return tcp + [NetworkPolicyPortArgs(port=port, protocol="UDP") for port in self.udp]


def component(namespace: str, *names: str) -> tuple[NetworkPolicyPeerArgs, ...]:
    """Pods of components in a namespace."""
    return tuple(
        NetworkPolicyPeerArgs(
            namespace_selector=LabelSelectorArgs(match_labels={_NAMESPACE: namespace}),
            pod_selector=LabelSelectorArgs(match_labels={pods.NAME: name}),
        )
        for name in names
    )


def everything_in(namespace: str) -> tuple[NetworkPolicyPeerArgs, ...]:
    """All pods of a namespace."""
    selector = LabelSelectorArgs(match_labels={_NAMESPACE: namespace})
    return (NetworkPolicyPeerArgs(namespace_selector=selector),)


def prometheus(contract: Contract) -> tuple[NetworkPolicyPeerArgs, ...]:
    """The Prometheus that reads metrics: the platform's own, or all pods where the team's is."""
    if "monitoring" in contract.existing:
        return everything_in(contract.prometheus)
    return component(spaces.MONITORING, spaces.PROMETHEUS)


def gateway(contract: Contract) -> tuple[NetworkPolicyPeerArgs, ...]:
    """The pods of the gateway, the platform's own or the team's."""
    theirs = LabelSelectorArgs(match_labels={_NAMESPACE: contract.gateway.namespace})
    marked = LabelSelectorArgs(match_labels=contract.gateway.labels)
    return (NetworkPolicyPeerArgs(namespace_selector=theirs, pod_selector=marked),)


def nodes(contract: Contract) -> tuple[NetworkPolicyPeerArgs, ...]:
    """The nodes themselves: kubelets, and API servers, which are no pods to a policy."""
    ranges = [contract.node_cidr]
    if contract.network_engine == CILIUM:
        # Its hosts speak through the tunnel from addresses of pods, and it matches no pod by range.
        ranges.append(contract.pod_cidr)
    return tuple(NetworkPolicyPeerArgs(ip_block=IPBlockArgs(cidr=cidr)) for cidr in ranges)


def name_service() -> Talk:
    """CoreDNS."""
    selector = LabelSelectorArgs(match_labels={_NAMESPACE: "kube-system"})
    servers = LabelSelectorArgs(match_labels={"k8s-app": "kube-dns"})
    peer = NetworkPolicyPeerArgs(namespace_selector=selector, pod_selector=servers)
    return Talk((peer,), (53,), udp=(53,))


def api_server(contract: Contract) -> Talk:
    """The API server. Engines differ in whether they see the Service's address or the node's."""
    service = NetworkPolicyPeerArgs(ip_block=IPBlockArgs(cidr=contract.service_cidr))
    return Talk((service, *nodes(contract)), (443, 6443))


def deny(
    name: str, contract: Contract, namespace: pulumi.Input[str], parent: pulumi.Resource
) -> NetworkPolicy:
    """Deny everything that no other policy of the namespace allows."""
    return NetworkPolicy(
        f"{name}-deny",
        metadata=pods.meta(contract, "default-deny", namespace),
        spec=NetworkPolicySpecArgs(
            pod_selector=LabelSelectorArgs(), policy_types=["Ingress", "Egress"]
        ),
        opts=pulumi.ResourceOptions(parent=parent),
    )


def allow(
    name: str,
    contract: Contract,
    namespace: pulumi.Input[str],
    who: str | None,
    parent: pulumi.Resource,
    *,
    hears: Sequence[Talk] = (),
    speaks: Sequence[Talk] = (),
) -> NetworkPolicy:
    """Allow what a component hears and to whom it speaks; ``who`` None: all pods there."""
    selector = LabelSelectorArgs(match_labels={pods.NAME: who} if who else None)
    return NetworkPolicy(
        f"{name}-policy",
        metadata=pods.meta(contract, who or "all-pods", namespace),
        spec=NetworkPolicySpecArgs(
            pod_selector=selector,
            policy_types=["Ingress", "Egress"],
            ingress=[
                NetworkPolicyIngressRuleArgs(from_=list(talk.peers) or None, ports=talk.numbers())
                for talk in hears
            ],
            egress=[
                NetworkPolicyEgressRuleArgs(to=list(talk.peers) or None, ports=talk.numbers())
                for talk in speaks
            ],
        ),
        opts=pulumi.ResourceOptions(parent=parent),
    )
