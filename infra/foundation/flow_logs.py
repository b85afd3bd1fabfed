"""A record of every connection in the VPC, accepted or refused."""

from dataclasses import dataclass

import pulumi
from pulumi_aws import cloudwatch, ec2, iam

from infra.foundation import grants, policy_text
from infra.foundation.place import Place


@dataclass(frozen=True, kw_only=True)
class FlowLogsArgs:
    """Of which VPC, encrypted with which key, kept how long."""

    place: Place
    vpc: pulumi.Input[str]
    key: pulumi.Input[str]
    days: int


class FlowLogs(pulumi.ComponentResource):
    """Flow logs in CloudWatch."""

    def __init__(
        self, name: str, args: FlowLogsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("modelyard:foundation:FlowLogs", name, None, opts)
        options = pulumi.ResourceOptions(parent=self)
        group = cloudwatch.LogGroup(
            f"{name}-group",
            name=f"/{args.place.prefix}/flows",
            kms_key_id=args.key,
            retention_in_days=args.days,
            opts=options,
        )
        role = iam.Role(
            f"{name}-role",
            name=f"{args.place.prefix}-flow-logs",
            assume_role_policy=policy_text.of(grants.trust("vpc-flow-logs.amazonaws.com")),
            opts=options,
        )
        rights = grants.allow(
            ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"],
            [group.arn, pulumi.Output.concat(group.arn, ":*")],
        )
        iam.RolePolicy(f"{name}-rights", role=role.id, policy=policy_text.of(rights), opts=options)
        ec2.FlowLog(
            f"{name}-log",
            vpc_id=args.vpc,
            traffic_type="ALL",
            log_destination_type="cloud-watch-logs",
            log_destination=group.arn,
            iam_role_arn=role.arn,
            opts=options,
        )
        self.register_outputs({})
