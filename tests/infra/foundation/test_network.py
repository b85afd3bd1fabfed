"""Network: what is public, where it leads, and that pods have a range of their own."""

import ipaddress
import json

from tests.infra.foundation.conftest import Estate

SUBNET = "aws:ec2/subnet:Subnet"
INTERFACES = 4


def test_every_zone_has_a_subnet_of_each_kind(estate: Estate) -> None:
    found = estate.engine.of(SUBNET)

    for kind in ("private", "public", "data", "pods"):
        zones = [
            one["availabilityZoneId"]
            for name, one in found.items()
            if name.startswith(f"network-{kind}-")
        ]
        assert zones == list(estate.aws.zones)


def test_no_subnet_gives_public_addresses_away(estate: Estate) -> None:
    assert not [one for one in estate.engine.of(SUBNET).values() if one["mapPublicIpOnLaunch"]]


def test_pods_lie_in_the_second_range_and_nodes_in_the_first(estate: Estate) -> None:
    for name, one in estate.engine.of(SUBNET).items():
        key = "pods" if "-pods-" in name else "hosts"
        whole = ipaddress.IPv4Network(getattr(estate.environment.network, key))
        assert ipaddress.IPv4Network(one["cidrBlock"]).subnet_of(whole), name

    second = estate.one("aws:ec2/vpcIpv4CidrBlockAssociation:VpcIpv4CidrBlockAssociation")
    assert second["cidrBlock"] == estate.environment.network.pods


def test_one_gateway_serves_all_zones_or_each_has_its_own(estates: dict[str, Estate]) -> None:
    gateways = {
        name: set(estate.engine.of("aws:ec2/natGateway:NatGateway"))
        for name, estate in estates.items()
    }

    assert gateways["dev"] == {"network-nat-1"}
    assert gateways["prod"] == {"network-nat-1", "network-nat-2", "network-nat-3"}


def test_nodes_leave_through_the_gateway_of_their_zone(estates: dict[str, Estate]) -> None:
    def gateway(name: str, zone: int) -> str:
        routes = estates[name].engine.of("aws:ec2/route:Route")
        return str(routes[f"network-private-{zone}-out"]["natGatewayId"])

    assert {gateway("dev", zone) for zone in (1, 2, 3)} == {"network-nat-1-id"}
    assert [gateway("prod", zone) for zone in (1, 2, 3)] == [
        f"network-nat-{zone}-id" for zone in (1, 2, 3)
    ]


def test_databases_have_no_way_out(estate: Estate) -> None:
    tables = {
        inputs["routeTableId"]
        for name, inputs in estate.engine.of(
            "aws:ec2/routeTableAssociation:RouteTableAssociation"
        ).items()
        if name.startswith("network-data-in-")
    }
    routes = estate.engine.of("aws:ec2/route:Route").values()

    assert tables == {"network-data-id"}
    assert not [route for route in routes if route["routeTableId"] in tables]


def test_pods_share_the_routes_of_the_nodes_of_their_zone(estate: Estate) -> None:
    found = estate.engine.of("aws:ec2/routeTableAssociation:RouteTableAssociation")
    members = [
        (one["routeTableId"], one["subnetId"])
        for name, one in found.items()
        if name.startswith("network-private-2-in-")
    ]

    assert members == [
        ("network-private-2-id", "network-private-2-id"),
        ("network-private-2-id", "network-pods-2-id"),
    ]


def test_what_has_no_group_of_its_own_talks_to_nobody(estate: Estate) -> None:
    default = estate.one("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup")

    assert default["ingress"] == []
    assert default["egress"] == []


def test_images_and_credentials_never_leave_the_network_of_aws(estate: Estate) -> None:
    found = estate.engine.of("aws:ec2/vpcEndpoint:VpcEndpoint")
    services = {one["serviceName"].split(estate.aws.region + ".")[1] for one in found.values()}
    interfaces = [one for one in found.values() if one["vpcEndpointType"] == "Interface"]

    assert services == {"s3", "ecr.api", "ecr.dkr", "sts", "eks-auth"}
    assert len(interfaces) == INTERFACES
    assert all(one["privateDnsEnabled"] for one in interfaces)
    assert len(found["endpoints-s3"]["routeTableIds"]) == 3


def test_no_rule_lets_the_internet_in(estate: Estate) -> None:
    rules = estate.engine.of("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")

    assert len(rules) >= 6
    for name, rule in rules.items():
        assert not str(rule.get("cidrIpv4", "")).endswith("/0"), name
        assert "cidrIpv6" not in rule, name
    groups = estate.engine.of("aws:ec2/securityGroup:SecurityGroup").values()
    assert not [one for one in groups if "ingress" in one or "egress" in one]


def test_every_connection_is_recorded_and_the_record_encrypted(estate: Estate) -> None:
    log = estate.one("aws:ec2/flowLog:FlowLog")
    group = estate.one("aws:cloudwatch/logGroup:LogGroup", "flow-logs-group")

    assert log["trafficType"] == "ALL"
    assert log["vpcId"] == "network-vpc-id"
    assert group["retentionInDays"] == estate.aws.log_days
    assert group["kmsKeyId"] == "arn:aws:kms:test:keys-logs"


def test_every_log_is_encrypted_and_ends(estate: Estate) -> None:
    groups = estate.engine.of("aws:cloudwatch/logGroup:LogGroup")

    assert len(groups) == 6
    for name, group in groups.items():
        assert group["kmsKeyId"] == "arn:aws:kms:test:keys-logs", name
        assert group["retentionInDays"] == estate.aws.log_days, name


def test_the_load_balancer_is_inside_and_hands_tls_through(estate: Estate) -> None:
    balancer = estate.one("aws:lb/loadBalancer:LoadBalancer")
    listener = estate.one("aws:lb/listener:Listener")
    target = estate.one("aws:lb/targetGroup:TargetGroup")

    assert balancer["internal"] is True
    assert balancer["enableDeletionProtection"] is estate.environment.protected
    assert (listener["port"], listener["protocol"]) == (443, "TCP")
    assert target["port"] == estate.environment.node_ports.gateway
    nodes = estate.one("aws:autoscaling/attachment:Attachment")
    assert nodes["autoscalingGroupName"] == f"eks-{estate.aws.pools[0].name}-1"


def test_clients_come_from_the_vpc_and_from_listed_ranges(prod: Estate) -> None:
    rules = prod.engine.of("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
    found = [rule["cidrIpv4"] for name, rule in rules.items() if name.startswith("entrance-in-")]

    assert found == ["10.40.0.0/16", "100.72.0.0/16", "10.200.0.0/16"]


def test_keys_rotate_and_only_the_account_and_its_services_may_use_them(estate: Estate) -> None:
    keys = estate.engine.of("aws:kms/key:Key")

    assert set(keys) == {"keys-cluster", "keys-disks", "keys-data", "keys-logs"}
    for name, key in keys.items():
        assert key["enableKeyRotation"] is True, name
        for statement in json.loads(key["policy"])["Statement"]:
            principal = statement["Principal"]
            who = principal.get("AWS") or principal["Service"]
            assert estate.aws.account in who or who == f"logs.{estate.aws.region}.amazonaws.com"
