"""A row changed behind the application's back is named by the proof."""

import pytest

from erp.purchasing.proof import CHECKS
from tests.slices.inventory.shop import Shop
from tests.slices.purchasing.buying import billed, line, ordered, received


@pytest.mark.parametrize(
    ("check", "damage"),
    [
        ("purchase-lines-received", "UPDATE goods_receipt_lines SET quantity = quantity + 1 WHERE tenant_id = %s"),
        (
            "purchase-lines-received",
            "UPDATE purchase_order_lines SET received_value = 13, billed_value = 13"
            " WHERE received = 3 AND tenant_id = %s",
        ),
        ("purchase-lines-billed", "UPDATE supplier_bill_lines SET receipt_value = 0 WHERE tenant_id = %s"),
        (
            "grni-account",
            "UPDATE journal_lines SET base_amount = -9 WHERE account_code = '2050' AND amount < 0 AND tenant_id = %s",
        ),
        ("incoming-stock", "DELETE FROM incoming_stock WHERE tenant_id = %s"),
        ("incoming-stock", "UPDATE incoming_stock SET quantity = quantity + 0.000001 WHERE tenant_id = %s"),
        ("goods-receipt-numbers", "UPDATE goods_receipts SET number = 'GRN-2026-000009' WHERE tenant_id = %s"),
        ("supplier-bill-numbers", "UPDATE supplier_bills SET number = 'BILL-2026-000007' WHERE tenant_id = %s"),
    ],
)
async def test_damage_is_found(shop: Shop, check: str, damage: str) -> None:
    order = await ordered(shop, line(shop.lamp, "4"), line(shop.lamp, "1.5", "50", unit_code="box"))
    await received(shop, order, (1, "3"))
    await billed(shop, order)
    assert await shop.evidence(*CHECKS) == {}
    shop.tamper(damage, shop.caller.tenant.id)
    assert check in await shop.evidence(*CHECKS)
