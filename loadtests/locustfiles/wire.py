"""What the process that runs Locust and the stories in it tell each other. Imports nothing of the application:
gevent replaces the standard library under it."""

import msgspec

#: Environment variables: files with the `Cast`, and for the outcomes by story.
CAST = "ERP_LOAD_CAST"
OUTCOME = "ERP_LOAD_OUTCOME"


class Principal(msgspec.Struct, frozen=True):
    """One virtual user: its key and ids of what its tenant has."""

    key: str
    products: list[str]
    customers: list[str]
    orders: list[str]


class Cast(msgspec.Struct, frozen=True):
    """Who plays which story, and how many requests a minute each sends."""

    principals: dict[str, list[Principal]]
    per_minute: dict[str, float]
    certificate: str


class Outcome(msgspec.Struct, frozen=True):
    """What Locust saw of one story: milliseconds -> requests that took so long; `seconds` of the measurement.

    `refused`: answered 429, neither an error nor in `times`, where the story expects that.
    """

    times: dict[int, int]
    errors: dict[str, int]
    refused: int
    seconds: float

    @property
    def answered(self) -> int:
        return sum(self.times.values())

    @property
    def asked(self) -> int:
        return self.answered + self.refused

    @property
    def failed(self) -> int:
        return sum(self.errors.values())
