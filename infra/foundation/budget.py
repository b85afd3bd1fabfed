"""What a month may cost, and who hears of it."""

from dataclasses import dataclass

import pulumi
from pulumi_aws import budgets

from infra.foundation.place import Place
from infra.foundation.settings import Budget as Settings


@dataclass(frozen=True, kw_only=True)
class BudgetArgs:
    """Limit, shares and addresses."""

    place: Place
    settings: Settings


class Budget(pulumi.ComponentResource):
    """A monthly budget of the account. It warns; it stops nothing."""

    def __init__(
        self, name: str, args: BudgetArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("modelyard:foundation:Budget", name, None, opts)
        budgets.Budget(
            f"{name}-month",
            name=f"{args.place.prefix}-month",
            account_id=args.place.account,
            budget_type="COST",
            time_unit="MONTHLY",
            limit_amount=str(args.settings.usd_a_month),
            limit_unit="USD",
            notifications=[
                budgets.BudgetNotificationArgs(
                    comparison_operator="GREATER_THAN",
                    notification_type=kind,
                    threshold=share,
                    threshold_type="PERCENTAGE",
                    subscriber_email_addresses=list(args.settings.emails),
                )
                # What was spent, at each share; and once more when the month will likely end above.
                for kind, share in [
                    *(("ACTUAL", share) for share in args.settings.alerts_percent),
                    ("FORECASTED", 100),
                ]
            ],
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})
