"""A customer looks around: lists, a product, whether it is there."""

from locust import task

from loadtests.locustfiles.story import Story, pace_of, users_of

STORY = "browse_catalogue"
_SORTS = ("name", "-created_at")


class BrowseCatalogue(Story):
    story = STORY
    fixed_count = users_of(STORY)
    wait_time = pace_of(STORY)

    def on_start(self) -> None:
        super().on_start()
        self.seen = 0

    @task(2)
    def list_products(self) -> None:
        self.seen += 1
        self.get(f"/v1/products?limit=50&sort={_SORTS[self.seen % 2]}", "list products")

    @task(5)
    def read_product(self) -> None:
        self.get(f"/v1/products/{self.product()}", "read a product")

    @task(3)
    def ask_availability(self) -> None:
        self.get(f"/v1/products/{self.product()}/availability", "ask availability")
