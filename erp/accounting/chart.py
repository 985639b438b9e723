"""Charts of accounts to start from. Codes, names and grouping are our own; every one fills all roles."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

AccountType = Literal["asset", "liability", "equity", "income", "expense"]

#: What postings may ask for as @role.
ROLES: Final = (
    "receivables", "payables", "inventory", "grni", "cogs", "revenue", "output_tax", "input_tax", "bank", "cash",
    "customer_advances", "supplier_advances", "inventory_adjustment", "price_variance", "rounding",
    "retained_earnings", "opening", "expense", "bad_debts", "bad_debt_allowance",
)  # fmt: skip

#: Accounts that documents keep in step with a sub-ledger; an entry by hand would break the agreement.
CONTROL_ROLES: Final = frozenset(
    {"receivables", "payables", "inventory", "grni", "customer_advances", "supplier_advances"}
)

#: The side on which an account of the type grows.
NORMAL_SIDE: Final[Mapping[str, str]] = {
    "asset": "debit",
    "expense": "debit",
    "liability": "credit",
    "equity": "credit",
    "income": "credit",
}

JOURNALS: Final = {
    "sales": "Sales",
    "purchases": "Purchases",
    "stock": "Stock movements",
    "bank": "Bank and cash",
    "general": "General journal",
}


@dataclass(frozen=True, slots=True)
class Template:
    """`accounts`: (code, type, name, role or "")."""

    name: str
    title: str
    accounts: tuple[tuple[str, AccountType, str, str], ...]

    @property
    def roles(self) -> dict[str, str]:
        return {role: code for code, _, _, role in self.accounts if role}


_GENERIC = Template(
    "generic-ifrs",
    "International, four digits",
    (
        ("1000", "asset", "Cash on hand", "cash"),
        ("1010", "asset", "Bank current account", "bank"),
        ("1100", "asset", "Trade receivables", "receivables"),
        ("1110", "asset", "Allowance for doubtful receivables", "bad_debt_allowance"),
        ("1150", "asset", "Prepayments to suppliers", "supplier_advances"),
        ("1200", "asset", "Merchandise", "inventory"),
        ("1300", "asset", "Recoverable tax on purchases", "input_tax"),
        ("1400", "asset", "Prepaid expenses", ""),
        ("1500", "asset", "Property, plant and equipment", ""),
        ("1510", "asset", "Accumulated depreciation", ""),
        ("2000", "liability", "Trade payables", "payables"),
        ("2050", "liability", "Goods received, bill outstanding", "grni"),
        ("2100", "liability", "Tax collected on sales", "output_tax"),
        ("2150", "liability", "Tax settlement", ""),
        ("2200", "liability", "Prepayments from customers", "customer_advances"),
        ("2300", "liability", "Payroll liabilities", ""),
        ("2400", "liability", "Accrued liabilities", ""),
        ("2500", "liability", "Borrowings", ""),
        ("3000", "equity", "Issued capital", ""),
        ("3100", "equity", "Retained earnings", "retained_earnings"),
        ("3900", "equity", "Opening balances", "opening"),
        ("4000", "income", "Sales of goods and services", "revenue"),
        ("4900", "income", "Other operating income", ""),
        ("5000", "expense", "Cost of goods sold", "cogs"),
        ("5100", "expense", "Stock differences and write-offs", "inventory_adjustment"),
        ("5200", "expense", "Purchase price differences", "price_variance"),
        ("6000", "expense", "Operating expenses", "expense"),
        ("6100", "expense", "Wages and salaries", ""),
        ("6200", "expense", "Rent and premises", ""),
        ("6300", "expense", "Depreciation", ""),
        ("6400", "expense", "Impairment of receivables", "bad_debts"),
        ("6500", "expense", "Bank charges", ""),
        ("6900", "expense", "Rounding differences", "rounding"),
        ("7000", "expense", "Interest", ""),
        ("8000", "expense", "Income tax", ""),
    ),
)

_UK = Template(
    "uk-small",
    "United Kingdom, small trading company",
    (
        ("010", "asset", "Fixtures and equipment at cost", ""),
        ("019", "asset", "Fixtures and equipment: depreciation to date", ""),
        ("100", "asset", "Stock of goods for resale", "inventory"),
        ("110", "asset", "Trade debtors", "receivables"),
        ("115", "asset", "Provision against doubtful debtors", "bad_debt_allowance"),
        ("120", "asset", "Payments on account to suppliers", "supplier_advances"),
        ("130", "asset", "VAT on purchases", "input_tax"),
        ("150", "asset", "Current account", "bank"),
        ("160", "asset", "Petty cash and till", "cash"),
        ("200", "liability", "Trade creditors", "payables"),
        ("205", "liability", "Deliveries not yet billed to us", "grni"),
        ("210", "liability", "VAT on sales", "output_tax"),
        ("215", "liability", "VAT payable to HMRC", ""),
        ("220", "liability", "Payments on account from customers", "customer_advances"),
        ("230", "liability", "PAYE and National Insurance", ""),
        ("240", "liability", "Accruals", ""),
        ("250", "liability", "Director's loan account", ""),
        ("300", "equity", "Ordinary share capital", ""),
        ("310", "equity", "Profit and loss brought forward", "retained_earnings"),
        ("390", "equity", "Balances taken on", "opening"),
        ("400", "income", "Turnover", "revenue"),
        ("490", "income", "Sundry income", ""),
        ("500", "expense", "Cost of sales", "cogs"),
        ("510", "expense", "Stock losses and counts", "inventory_adjustment"),
        ("520", "expense", "Supplier price differences", "price_variance"),
        ("600", "expense", "General overheads", "expense"),
        ("610", "expense", "Staff costs", ""),
        ("620", "expense", "Rent, rates and utilities", ""),
        ("630", "expense", "Carriage and packing", ""),
        ("640", "expense", "Bad debts", "bad_debts"),
        ("650", "expense", "Bank and card charges", ""),
        ("660", "expense", "Depreciation for the year", ""),
        ("690", "expense", "Rounding", "rounding"),
        ("700", "expense", "Corporation tax", ""),
    ),
)

_DE = Template(
    "de-handel",
    "Deutschland, Handelsbetrieb, fünfstellig",
    (
        ("05000", "asset", "Büro- und Ladenausstattung", ""),
        ("10000", "asset", "Barkasse", "cash"),
        ("12000", "asset", "Girokonto", "bank"),
        ("14000", "asset", "Offene Kundenrechnungen", "receivables"),
        ("14900", "asset", "Wertberichtigung auf Kundenrechnungen", "bad_debt_allowance"),
        ("15000", "asset", "Anzahlungen an Lieferanten", "supplier_advances"),
        ("15700", "asset", "Umsatzsteuer aus Einkäufen", "input_tax"),
        ("16000", "liability", "Offene Lieferantenrechnungen", "payables"),
        ("16500", "liability", "Wareneingang ohne Rechnung", "grni"),
        ("17000", "liability", "Anzahlungen von Kunden", "customer_advances"),
        ("17400", "liability", "Löhne und Gehälter, noch nicht gezahlt", ""),
        ("17700", "liability", "Umsatzsteuer aus Verkäufen", "output_tax"),
        ("17900", "liability", "Umsatzsteuer-Zahllast", ""),
        ("20000", "equity", "Eingezahltes Kapital", ""),
        ("21000", "equity", "Ergebnis der Vorjahre", "retained_earnings"),
        ("29000", "equity", "Übernommene Anfangsbestände", "opening"),
        ("39000", "asset", "Warenbestand", "inventory"),
        ("40000", "expense", "Wareneinsatz", "cogs"),
        ("40500", "expense", "Bestandsdifferenzen und Schwund", "inventory_adjustment"),
        ("40700", "expense", "Preisabweichungen im Einkauf", "price_variance"),
        ("41000", "expense", "Personalkosten", ""),
        ("42000", "expense", "Raumkosten", ""),
        ("46000", "expense", "Ausgangsfrachten", ""),
        ("47000", "expense", "Übrige Betriebskosten", "expense"),
        ("48000", "expense", "Abschreibungen auf Anlagen", ""),
        ("48500", "expense", "Forderungsausfälle", "bad_debts"),
        ("49500", "expense", "Bankgebühren", ""),
        ("49900", "expense", "Rundungsdifferenzen", "rounding"),
        ("80000", "income", "Verkaufserlöse", "revenue"),
        ("89000", "income", "Sonstige Erträge", ""),
    ),
)

TEMPLATES: Final[Mapping[str, Template]] = {template.name: template for template in (_GENERIC, _UK, _DE)}
