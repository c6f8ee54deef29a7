"""The monthly cost of a stack as a record: by component, with its budgets.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from orchestrator.cost.by_component import ComponentCost, Usd, sum_by_component
from orchestrator.cost.estimate import Estimate, list_alerts
from orchestrator.vocabulary import Resource


class BudgetLimit(Struct, frozen=True):
    """A budget of the stack in USD a month: its limit, and the amounts of its alerts on actual cost, ascending."""

    component: str
    limit: Usd
    alerts: tuple[Usd, ...] = ()


class StackCost(Struct, frozen=True):
    """List prices in USD a month by component.  ``unpriced`` are addresses of which a part has no price.

    ``as_of`` is the date of the oldest price in it.
    """

    components: tuple[ComponentCost, ...] = ()
    budgets: tuple[BudgetLimit, ...] = ()
    unpriced: tuple[str, ...] = ()
    as_of: str = ""

    @property
    def idle(self) -> float:
        """Total when nobody uses the stack."""
        return round(sum(component.idle for component in self.components), 2)

    @property
    def expected(self) -> float:
        """Total by declared use; what declares none counts as idle."""
        return round(sum(component.expected for component in self.components), 2)


def summarize(estimate: Estimate, resources: Iterable[Resource]) -> StackCost:
    """Return the cost of ``resources`` from their estimate."""
    resource_list = list(resources)
    component_of = {resource.address: resource.component for resource in resource_list}
    return StackCost(
        sum_by_component(estimate, component_of),
        tuple(list_budgets(resource_list)),
        tuple(address for address, _ in estimate.unpriced),
        estimate.as_of,
    )


def list_budgets(resources: Iterable[Resource]) -> Iterator[BudgetLimit]:
    """Yield the budgets in USD, the lowest limit first."""
    budgets = [item for item in resources if item.type == "budgets_budget" and _is_in_usd(item.spec)]
    for budget in sorted(budgets, key=lambda item: (float(item.spec["limit"]), item.component)):
        yield BudgetLimit(budget.component, float(budget.spec["limit"]), tuple(sorted(list_alerts(budget))))


def _is_in_usd(spec: Mapping[str, object]) -> bool:
    return spec.get("currency", "USD") == "USD"
