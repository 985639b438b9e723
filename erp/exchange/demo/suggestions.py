"""What to try next: lines for a shell that work as they are."""

import shlex
from collections.abc import Mapping

import msgspec

from erp.exchange.demo.client import Address, Json
from erp.exchange.demo.shop import Shop


def settings(address: Address, tokens: Mapping[str, str]) -> list[str]:
    """Shell variables: the address, the authority to trust, and a key for each name in `tokens`."""
    values = {"ERP": address.url}
    if address.authority is not None:
        values["CA"] = str(address.authority)
    return [f"export {name}={shlex.quote(value)}" for name, value in {**values, **tokens}.items()]


def commands(address: Address, shop: Shop, other: Shop) -> list[tuple[str, str]]:
    """(what it shows, the command), for the variables of `settings`."""
    ours, theirs = shop.company.variable, other.company.variable
    item = next(one for one in shop.company.items if one.box_of)
    product = shop.products[item.code]
    order = {
        "party_id": shop.customer(2),
        "lines": [{"product_id": product, "quantity": "1", "unit_code": "box"}],
        "confirm": True,
    }
    return [
        ("the invoices that are open longest", _get(address, ours, "/v1/open-items?open=true&limit=3")),
        (
            f"a box of {item.name}, ordered: sent twice, it is one order",
            _post(address, ours, "/v1/sales-orders", order),
        ),
        ("what that left of it", _get(address, ours, f"/v1/products/{product}/availability")),
        ("the other company's stock", _get(address, theirs, "/v1/stock-valuation?limit=5")),
        ("the books, recomputed from every row", _get(address, theirs, "/v1/proof")),
    ]


def _get(address: Address, variable: str, path: str) -> str:
    return f'{_curl(address, variable)} "$ERP{path}"'


def _post(address: Address, variable: str, path: str, body: Json) -> str:
    data = shlex.quote(msgspec.json.encode(body).decode())
    headers = "-H 'Content-Type: application/json' -H 'Idempotency-Key: try-it-yourself-0001'"
    return f'{_curl(address, variable)} {headers} -d {data} "$ERP{path}"'


def _curl(address: Address, variable: str) -> str:
    trust = ' --cacert "$CA"' if address.authority is not None else ""
    return f'curl -sS{trust} -w "\\n" -H "Authorization: Bearer ${variable}"'
