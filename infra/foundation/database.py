"""PostgreSQL for tracking and for the event store."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_aws import cloudwatch, ec2, rds, vpc

from infra.foundation.place import Place
from infra.foundation.settings import Database as Settings

PORT = 5432
USER = "modelyard"


@dataclass(frozen=True, kw_only=True)
class DatabaseArgs:
    """Size and place of one instance. ``clients``: security group of nodes and pods."""

    place: Place
    settings: Settings
    vpc: pulumi.Input[str]
    subnets: Sequence[pulumi.Input[str]]
    clients: pulumi.Input[str]
    data_key: pulumi.Input[str]
    logs_key: pulumi.Input[str]
    log_days: int


class Database(pulumi.ComponentResource):
    """One encrypted instance. Its password is made and rotated in Secrets Manager, not by us."""

    address: pulumi.Output[str]
    secret: pulumi.Output[str]
    """ARN of the secret with user and password: never its content."""

    def __init__(
        self, name: str, args: DatabaseArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("modelyard:foundation:Database", name, None, opts)
        options = pulumi.ResourceOptions(parent=self)
        settings, called = args.settings, f"{args.place.prefix}-{args.settings.name}"
        subnets = rds.SubnetGroup(
            f"{name}-subnets", name=called, subnet_ids=list(args.subnets), opts=options
        )
        parameters = rds.ParameterGroup(
            f"{name}-parameters",
            name=called,
            family=f"postgres{settings.version.split('.')[0]}",
            parameters=[rds.ParameterGroupParameterArgs(name="rds.force_ssl", value="1")],
            opts=options,
        )
        logs = [
            cloudwatch.LogGroup(
                f"{name}-log-{kind}",
                name=f"/aws/rds/instance/{called}/{kind}",
                kms_key_id=args.logs_key,
                retention_in_days=args.log_days,
                opts=options,
            )
            for kind in ("postgresql", "upgrade")
        ]
        instance = rds.Instance(
            f"{name}-instance",
            identifier=called,
            engine="postgres",
            engine_version=settings.version,
            instance_class=settings.instance_class,
            allocated_storage=settings.gib,
            max_allocated_storage=settings.max_gib,
            storage_type="gp3",
            storage_encrypted=True,
            kms_key_id=args.data_key,
            db_name=settings.use,
            username=USER,
            manage_master_user_password=True,
            master_user_secret_kms_key_id=args.data_key,
            iam_database_authentication_enabled=True,
            ca_cert_identifier="rds-ca-rsa2048-g1",
            db_subnet_group_name=subnets.name,
            parameter_group_name=parameters.name,
            vpc_security_group_ids=[self._group(name, args).id],
            publicly_accessible=False,
            multi_az=settings.multi_az,
            backup_retention_period=settings.backup_days,
            backup_window="03:00-04:00",
            maintenance_window="sun:04:30-sun:05:30",
            copy_tags_to_snapshot=True,
            delete_automated_backups=False,
            deletion_protection=args.place.protected,
            skip_final_snapshot=False,
            final_snapshot_identifier=f"{called}-final",
            auto_minor_version_upgrade=False,  # versions are pinned, and change by a commit
            allow_major_version_upgrade=False,
            apply_immediately=False,
            performance_insights_enabled=True,
            performance_insights_kms_key_id=args.data_key,
            enabled_cloudwatch_logs_exports=["postgresql", "upgrade"],
            # With max_allocated_storage the provider itself leaves storage alone that has grown.
            opts=pulumi.ResourceOptions(parent=self, depends_on=logs, protect=args.place.protected),
        )
        self.address = instance.endpoint
        self.secret = instance.master_user_secrets.apply(lambda found: found[0].secret_arn)
        self.register_outputs({"address": self.address, "secret": self.secret})

    def _group(self, name: str, args: DatabaseArgs) -> ec2.SecurityGroup:
        options = pulumi.ResourceOptions(parent=self)
        group = ec2.SecurityGroup(
            f"{name}-group",
            description="PostgreSQL from nodes and pods",
            vpc_id=args.vpc,
            tags={"Name": f"{args.place.prefix}-{args.settings.name}"},
            opts=options,
        )
        vpc.SecurityGroupIngressRule(
            f"{name}-in",
            security_group_id=group.id,
            referenced_security_group_id=args.clients,
            ip_protocol="tcp",
            from_port=PORT,
            to_port=PORT,
            opts=options,
        )
        return group
