"""Emulate what AWS says about an account itself: its plan (Free Tier API) and its quotas (Service Quotas)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import CallContext, Service

FREE_PLAN_DAYS = 180
_DEFAULT_QUOTAS = {
    ("cloudfront", "L-24B04930"): ("Web distributions per AWS account", 200.0),
    ("elasticloadbalancing", "L-53DA6B97"): ("Application Load Balancers per Region", 50.0),
    ("fargate", "L-3032A538"): ("Fargate On-Demand vCPU resource count", 6.0),
    ("rds", "L-7B6409FD"): ("DB instances", 40.0),
}
"""The quotas of a new account by service and code.  Source: the services' quota pages."""


class FreeTier(Service):
    """The plan of the account: paid, unless it is limited to the Free plan."""

    service = "freetier"
    is_complete = True

    def get_account_plan_state(self, params: Params, context: CallContext) -> Params:
        """Return the account's plan; the Free plan ends after six months."""
        plan = {"accountId": context.account, "accountPlanStatus": "ACTIVE"}
        if "free-plan" not in self.state.faults.account_limits:
            return {**plan, "accountPlanType": "PAID"}
        end = datetime.now(UTC) + timedelta(days=FREE_PLAN_DAYS)
        credits_left = {"amount": 100.0, "unit": "USD"}
        return {
            **plan,
            "accountPlanType": "FREE",
            "accountPlanExpirationDate": end,
            "accountPlanRemainingCredits": credits_left,
        }


class ServiceQuotas(Service):
    """Quotas: AWS's defaults, or what the fault settings say."""

    service = "service-quotas"
    is_complete = True

    def get_service_quota(self, params: Params, context: CallContext) -> Params:
        """Return a quota that was changed for the account; others have only a default."""
        value = self.state.faults.quotas.get(params["QuotaCode"])
        if value is None:
            raise AwsError("NoSuchResourceException", "The specified quota does not exist.", 400)
        return {"Quota": self._describe(params, float(value))}

    def get_aws_default_service_quota(self, params: Params, context: CallContext) -> Params:
        """Return the default of a quota."""
        return {"Quota": self._describe(params, None)}

    def _describe(self, params: Params, value: float | None) -> Params:
        key = (params["ServiceCode"], params["QuotaCode"])
        if key not in _DEFAULT_QUOTAS:
            raise AwsError("NoSuchResourceException", "The specified quota does not exist.", 400)
        name, default = _DEFAULT_QUOTAS[key]
        return {
            "ServiceCode": key[0],
            "QuotaCode": key[1],
            "QuotaName": name,
            "Value": default if value is None else value,
            "Unit": "None",
            "Adjustable": True,
            "GlobalQuota": key[0] == "cloudfront",
        }
