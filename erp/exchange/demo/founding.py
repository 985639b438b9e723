"""Chapter one: what a company writes down before it trades."""

from datetime import timedelta

from erp.exchange.demo.client import Json
from erp.exchange.demo.companies import Company, Item
from erp.exchange.demo.shop import Shop, customer_code, operation, supplier_code

_EMAIL_DOMAIN = "example.com"


def write_masters(shop: Shop) -> None:
    """Categories, a tax group, a place for returns, parties and products. Raises UnexpectedAnswer."""
    company = shop.company
    categories = _categories_and_places(shop)
    groups = {group["code"]: group["id"] for group in shop.client.rows("/v1/tax-groups")}
    parties = {f"demo:party:{party['code']}": party for party in _parties(company)}
    ids = shop.client.bulk("parties", _with_external_ids(parties))
    shop.parties = {party["code"]: ids[key] for key, party in parties.items()}
    products = {
        f"demo:product:{item.code}": _product(item, categories[item.category], groups[item.tax])
        for item in company.catalogue
    }
    ids = shop.client.bulk("products", _with_external_ids(products))
    shop.products = {product["code"]: ids[key] for key, product in products.items()}
    services = len(company.services)
    shop.tell(
        f"wrote down {len(parties)} parties and {len(products)} products ({services} of them services) in "
        f"{len(categories)} categories, as two streams of rows"
    )


def pay_in_capital(shop: Shop) -> None:
    """The first entry by hand. Raises UnexpectedAnswer."""
    company = shop.company
    entry = shop.post(
        "/v1/journal-entries",
        "capital",
        {
            "date": shop.calendar.old.isoformat(),
            "text": "Money paid in by the owners",
            "external_id": "demo:capital",
            "lines": [
                {"account": "@bank", "debit": company.capital},
                {"account": "@opening", "credit": company.capital},
            ],
        },
    )
    shop.tell(f"the owners paid {shop.money(company.capital)} into the bank: entry {entry['number']}")


def _categories_and_places(shop: Shop) -> dict[str, str]:
    """Category code -> id."""
    calendar, company = shop.calendar, shop.company
    warehouse = shop.client.get("/v1/warehouses")["data"][0]["id"]
    export = {"code": "export", "name": "Exports", "external_id": "demo:tax:export"}
    rates = [{"rate": "0", "valid_from": (calendar.old - timedelta(days=365)).isoformat()}]
    place = {"warehouse_id": warehouse, "code": "RETURNS", "name": "Returned goods", "external_id": "demo:returns"}
    made = shop.batch(
        "masters",
        *(
            operation("categories.create", {"code": code, "name": name, "external_id": f"demo:category:{code}"})
            for code, name in company.categories
        ),
        operation("tax_groups.create", {**export, "rates": rates}),
        operation("locations.create", place),
    )
    return {code: row["id"] for (code, _), row in zip(company.categories, made, strict=False)}


def _parties(company: Company) -> list[Json]:
    found: list[Json] = []
    for place, name in enumerate(company.suppliers):
        code = supplier_code(place)
        found.append({"code": code, "name": name, "is_supplier": True, "payment_terms_days": 30})
    for place, name in enumerate(company.customers):
        code = customer_code(place)
        email = f"{code.lower()}@{_EMAIL_DOMAIN}"
        found.append({"code": code, "name": name, "is_customer": True, "email": email, "payment_terms_days": 14})
    return [{**party, "country": company.country} for party in found]


def _product(item: Item, category: str, group: str) -> Json:
    units = [{"unit": "box", "numerator": item.box_of}] if item.box_of else []
    return {
        "code": item.code, "name": item.name, "kind": item.kind, "unit": item.unit, "units": units,
        "category_id": category, "tax_group_id": group, "sale_price": item.price,
        "reorder_point": item.reorder_point,
    }  # fmt: skip


def _with_external_ids(rows: dict[str, Json]) -> dict[str, Json]:
    """Every record carries its row's key, so that it is known again however long ago it was made."""
    return {key: {**row, "external_id": key} for key, row in rows.items()}
