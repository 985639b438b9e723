"""The tenants: made by the operator once, opened with the kept key from then on."""

from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from deploy.local.keyring import known_keys, remember_key
from deploy.local.layout import Layout
from erp.exchange.demo.client import Address, Client, Json, Pace, UnexpectedAnswer
from erp.exchange.demo.companies import Company

_UNAUTHORIZED = 401


@dataclass(frozen=True, slots=True)
class Opened:
    """A tenant with its key. `is_new`: made by this run."""

    client: Client
    token: str
    tenant: Json
    is_new: bool

    @property
    def founded(self) -> date:
        """The day it was made, on its own calendar."""
        zone = ZoneInfo(self.tenant["time_zone"])
        return datetime.fromisoformat(self.tenant["created_at"]).astimezone(zone).date()


def open_tenant(company: Company, address: Address, operator: Client, layout: Layout, pace: Pace) -> Opened:
    """Raises UnexpectedAnswer."""
    known = known_keys(layout).get(company.slug)
    if known is not None and (opened := _with_key(address, known, pace, is_new=False)) is not None:
        return opened
    token, is_new = _key_of(company, operator)
    remember_key(layout, company.slug, token)
    opened = _with_key(address, token, pace, is_new=is_new)
    if opened is None:
        raise UnexpectedAnswer(f"The new key of {company.slug} was refused.")
    return opened


def _with_key(address: Address, token: str, pace: Pace, *, is_new: bool) -> Opened | None:
    """None when the key is not accepted (any more)."""
    client = Client(address, token, pace)
    answer = client.ask("GET", "/v1/tenant")
    if answer.status == _UNAUTHORIZED:
        client.close()
        return None
    if answer.status >= 400:
        raise UnexpectedAnswer(str(answer))
    return Opened(client, token, answer.body, is_new)


def _key_of(company: Company, operator: Client) -> tuple[str, bool]:
    """An owner's key, and whether the tenant had to be made for it."""
    answer = operator.ask(
        "POST",
        "/v1/tenants",
        {
            "slug": company.slug, "name": company.name, "base_currency": company.currency,
            "country": company.country, "time_zone": company.time_zone, "chart": company.chart,
            "settings": company.settings,
        },
        key=f"demo:{company.slug}:tenant",
    )  # fmt: skip
    if answer.status < 400 and answer.body["owner_key"]["secret"]:
        return str(answer.body["owner_key"]["secret"]), True
    if answer.status >= 400 and answer.code != "duplicate":
        raise UnexpectedAnswer(str(answer))
    # It is there, but its key was shown to somebody who did not keep it.
    tenant = operator.get("/v1/tenants", slug=company.slug)["data"][0]
    issued = operator.ask("POST", f"/v1/tenants/{tenant['id']}/owner-keys")
    if issued.status >= 400:
        raise UnexpectedAnswer(str(issued))
    return str(issued.body["secret"]), False
