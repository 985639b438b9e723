"""A tenant whose integration asks far more than it may: it is refused, and nobody else notices."""

from locust import task

from loadtests.locustfiles.story import Story, pace_of, users_of

STORY = "noisy_tenant"


class NoisyTenant(Story):
    story = STORY
    may_be_refused = True
    fixed_count = users_of(STORY)
    wait_time = pace_of(STORY)

    @task(3)
    def read_product(self) -> None:
        self.get(f"/v1/products/{self.product()}", "read a product")

    @task(1)
    def list_orders(self) -> None:
        self.get("/v1/sales-orders?limit=50", "list orders")
