"""A clerk takes an order all the way: create, confirm, deliver, invoice, post, pay; one request a turn."""

import random
from collections.abc import Callable
from typing import Any

from locust import task

from loadtests.locustfiles.story import Story, pace_of, users_of

STORY = "order_to_cash"


class OrderToCash(Story):
    story = STORY
    fixed_count = users_of(STORY)
    wait_time = pace_of(STORY)

    def on_start(self) -> None:
        super().on_start()
        self.order: dict[str, Any] = {}
        self.invoice: dict[str, Any] = {}
        self.step = 0

    @task
    def next_step(self) -> None:
        """A step that fails ends the order; the next turn begins another one."""
        steps: tuple[Callable[[], dict[str, Any] | None], ...] = (
            self.create, self.confirm, self.deliver, self.draft, self.post_invoice, self.pay
        )  # fmt: skip
        done = steps[self.step]()
        self.step = 0 if done is None else (self.step + 1) % len(steps)

    def create(self) -> dict[str, Any] | None:
        products = random.sample(self.principal.products, 3)
        lines = [{"product_id": one, "quantity": str(random.randint(1, 3))} for one in products]
        found = self.post("/v1/sales-orders", "create", {"party_id": self.customer(), "lines": lines})
        self.order = found or {}
        return found

    def confirm(self) -> dict[str, Any] | None:
        return self.post(f"/v1/sales-orders/{self.order['id']}/confirm", "confirm", {})

    def deliver(self) -> dict[str, Any] | None:
        return self.post(f"/v1/sales-orders/{self.order['id']}/deliveries", "deliver", {})

    def draft(self) -> dict[str, Any] | None:
        found = self.post(f"/v1/sales-orders/{self.order['id']}/invoices", "invoice", {})
        self.invoice = found or {}
        return found

    def post_invoice(self) -> dict[str, Any] | None:
        return self.post(f"/v1/invoices/{self.invoice['id']}/post", "post", {})

    def pay(self) -> dict[str, Any] | None:
        amount = self.invoice["gross"]
        paid = {
            "direction": "in", "party_id": self.order["party_id"], "amount": amount,
            "allocations": [{"invoice_id": self.invoice["id"], "amount": amount}],
        }  # fmt: skip
        return self.post("/v1/payments", "pay", paid)
