"""The rules for workloads at the API server: kubectl goes past a preview, and not past these."""

from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.admissionregistration.v1 import (
    MatchConditionArgs,
    MatchResourcesArgs,
    NamedRuleWithOperationsArgs,
    ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicyBinding,
    ValidatingAdmissionPolicyBindingSpecArgs,
    ValidatingAdmissionPolicySpecArgs,
    ValidationArgs,
    VariableArgs,
)
from pulumi_kubernetes.meta.v1 import (
    LabelSelectorArgs,
    LabelSelectorRequirementArgs,
    ObjectMetaArgs,
)

from infra.contract import Contract
from infra.platform import pods
from infra.policy import admission, exemptions, workload_rules
from infra.policy.exemptions import Place
from infra.policy.workload_rules import WorkloadRule

COMPONENT = "admission"


@dataclass(frozen=True, kw_only=True)
class AdmissionArgs:
    """The cluster to guard."""

    contract: Contract


class Admission(pulumi.ComponentResource):
    """One ValidatingAdmissionPolicy for each rule of infra/policy. System namespaces are left out.

    An end date is not asked here: an exemption leaves the cluster with the next `up`, which the
    policy pack refuses until somebody has decided.
    """

    def __init__(
        self, name: str, args: AdmissionArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("modelyard:platform:Admission", name, None, opts)
        spared = exemptions.load()
        for rule in workload_rules.RULES:
            meta = pods.meta(args.contract, COMPONENT, None, f"modelyard-{rule.name}")
            places = [one.where for one in spared if one.rule == rule.name]
            exempt = [one for one in places if isinstance(one, Place)]
            self._guard(name, meta, rule, exempt, _namespaces(args.contract))
        self.register_outputs({})

    def _guard(
        self,
        name: str,
        meta: ObjectMetaArgs,
        rule: WorkloadRule,
        spared: list[Place],
        namespaces: LabelSelectorRequirementArgs,
    ) -> None:
        policy = ValidatingAdmissionPolicy(
            f"{name}-{rule.name}",
            metadata=meta,
            spec=ValidatingAdmissionPolicySpecArgs(
                failure_policy="Fail",
                match_constraints=MatchResourcesArgs(resource_rules=_matched()),
                match_conditions=[
                    MatchConditionArgs(name="changed", expression=admission.CHANGED),
                    *(
                        MatchConditionArgs(
                            name=f"spares-{one.namespace}-{one.name}",
                            expression=admission.excepted(one),
                        )
                        for one in spared
                    ),
                ],
                variables=[
                    VariableArgs(name=key, expression=expression)
                    for key, expression in {**admission.VARIABLES, "faults": rule.cel}.items()
                ],
                validations=[
                    ValidationArgs(
                        expression="variables.faults.size() == 0",
                        message_expression=f"variables.faults.join('; ') + {'. ' + rule.remedy!r}",
                        reason="Invalid",
                    )
                ],
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        ValidatingAdmissionPolicyBinding(
            f"{name}-{rule.name}-binding",
            metadata=meta,
            spec=ValidatingAdmissionPolicyBindingSpecArgs(
                policy_name=policy.metadata.name,
                validation_actions=["Deny"],
                match_resources=MatchResourcesArgs(
                    namespace_selector=LabelSelectorArgs(match_expressions=[namespaces])
                ),
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )


def _namespaces(contract: Contract) -> LabelSelectorRequirementArgs:
    """Where the rules hold: nowhere among other teams' workloads."""
    if contract.guards == "own":
        return LabelSelectorRequirementArgs(key=admission.OWN, operator="Exists")
    return LabelSelectorRequirementArgs(
        key="kubernetes.io/metadata.name",
        operator="NotIn",
        values=list(admission.SYSTEM_NAMESPACES),
    )


def _matched() -> list[NamedRuleWithOperationsArgs]:
    return [
        NamedRuleWithOperationsArgs(
            api_groups=[group],
            api_versions=["*"],
            operations=["CREATE", "UPDATE"],
            resources=list(resources),
        )
        for group, resources in admission.RESOURCES
    ]
