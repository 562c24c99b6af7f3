"""Two operators: one acts, the other is ready to."""

from __future__ import annotations

from harness import Kube, Start, eventually, router


async def test_one_of_two_operators_leads_and_both_are_ready(kube: Kube, start: Start):
    operators = [await start(), await start()]
    await kube.create(router())

    async def stand():
        answers = [await each.ask("/readyz") for each in operators]
        assert [each.status_code for each in answers] == [200, 200]
        assert sorted(each.text for each in answers) == ["leader\n", "standby\n"]

    await eventually(stand)
