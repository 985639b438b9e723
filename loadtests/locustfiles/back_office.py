"""An accountant reads: documents by state, who owes what, the trial balance, an order looked up."""

import random

from locust import task

from loadtests.locustfiles.story import Story, pace_of, users_of

STORY = "back_office"


class BackOffice(Story):
    story = STORY
    fixed_count = users_of(STORY)
    wait_time = pace_of(STORY)

    @task(3)
    def list_orders(self) -> None:
        self.get("/v1/sales-orders?state=confirmed&limit=50", "list orders")

    @task(3)
    def list_invoices(self) -> None:
        self.get("/v1/invoices?limit=50", "list invoices")

    @task(3)
    def read_order(self) -> None:
        self.get(f"/v1/sales-orders/{random.choice(self.principal.orders)}", "read an order")

    @task(2)
    def open_items(self) -> None:
        self.get("/v1/open-items?limit=50", "list open items")

    @task(2)
    def stock_levels(self) -> None:
        self.get("/v1/stock-levels?limit=50", "list stock levels")

    @task(1)
    def aged_receivables(self) -> None:
        self.get("/v1/aged-receivables", "age receivables")

    @task(1)
    def trial_balance(self) -> None:
        self.get("/v1/trial-balance", "trial balance")
