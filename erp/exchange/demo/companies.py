"""The two invented companies that trade in the demonstration, and what is written down about them."""

from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Item:
    """A product. `cost` and `price` are of one unit; `supplier` is a place in the company's list of suppliers."""

    code: str
    name: str
    category: str
    cost: str
    price: str
    tax: str = "standard"
    unit: str = "pcs"
    kind: str = "stocked"
    supplier: int = 0
    reorder_point: str | None = None
    box_of: int | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """The order that is followed step by step: more is ordered than is there, and the rest comes later."""

    item: Item
    #: Ordered by the customer and from the supplier; how much of it comes at first.
    quantity: int
    first: int
    #: What the first delivery takes, and what the customer sends back of it.
    delivered: int
    returned: int
    service: str


@dataclass(frozen=True, slots=True)
class Company:
    """`low` is the item that falls below its reorder point; `held` the one reservations are made of."""

    slug: str
    name: str
    currency: str
    country: str
    time_zone: str
    chart: str
    settings: dict[str, Any]
    categories: tuple[tuple[str, str], ...]
    suppliers: tuple[str, ...]
    customers: tuple[str, ...]
    items: tuple[Item, ...]
    services: tuple[Item, ...]
    scene: Scene
    low: Item
    held_code: str
    capital: str
    rent: str

    @property
    def catalogue(self) -> tuple[Item, ...]:
        return (*self.items, self.scene.item, self.low, *self.services)

    @property
    def held(self) -> Item:
        return next(item for item in self.items if item.code == self.held_code)

    @property
    def variable(self) -> str:
        """The name of a shell variable that holds the company's key."""
        return self.slug.partition("-")[0].upper()


TIDEWATER: Final = Company(
    slug="tidewater-wholesale",
    name="Tidewater Wholesale Ltd",
    currency="GBP",
    country="GB",
    time_zone="Europe/London",
    chart="uk-small",
    settings={"sales.tax_rounding": "line"},
    categories=(("kitchen", "Kitchen and table"), ("garden", "Garden and shed"), ("service", "Services")),
    suppliers=("Harrow & Pike Ceramics", "Fen Basket Makers", "Lumen Metalworks"),
    customers=(
        "The Copper Kettle", "Marsh Lane Stores", "Bramble & Daughters", "Quayside Gifts", "Old Mill Garden Centre",
        "Penrose Interiors", "Larkfield Farm Shop", "Station Road Hardware", "Blue Door Tearooms", "Hollins & Webb",
    ),
    items=(
        Item("MUG-STONE", "Stoneware mug", "kitchen", "2.10", "4.95", box_of=12),
        Item("JUG-ENAMEL", "Enamel jug 1.5 l", "kitchen", "5.40", "11.50"),
        Item("TRAY-OAK", "Oak serving tray", "kitchen", "8.75", "19.90"),
        Item("CLOTH-LINEN", "Linen tea towel", "kitchen", "1.85", "4.20", box_of=10),
        Item("BASKET-WILLOW", "Willow log basket", "garden", "9.30", "21.00", supplier=1),
        Item("TROWEL-ASH", "Hand trowel, ash handle", "garden", "3.95", "8.75", supplier=1, reorder_point="10"),
        Item("TWINE-JUTE", "Jute twine 100 m", "garden", "0.85", "2.125", supplier=1),
        Item("LAVENDER", "Dried lavender, loose", "garden", "13.333333", "28.40", unit="kg", supplier=1),
        Item("ALMANAC", "Gardener's almanac", "garden", "3.10", "7.99", tax="zero", supplier=1),
    ),
    services=(
        Item("CARRIAGE", "Carriage, one pallet", "service", "0", "45.00", kind="service"),
        Item("ENGRAVING", "Engraving", "service", "0", "38.00", kind="service", unit="h"),
    ),
    scene=Scene(
        Item("LANTERN-STORM", "Storm lantern", "garden", "11.40", "24.90", supplier=2),
        quantity=100, first=60, delivered=40, returned=5, service="CARRIAGE",
    ),
    low=Item("KETTLE-IRON", "Cast iron kettle", "kitchen", "19.00", "39.50", supplier=2, reorder_point="20"),
    held_code="TRAY-OAK",
    capital="40000.00",
    rent="1450.00",
)  # fmt: skip

ALPENBLICK: Final = Company(
    slug="alpenblick-versand",
    name="Alpenblick Versand GmbH",
    currency="EUR",
    country="DE",
    time_zone="Europe/Berlin",
    chart="de-handel",
    settings={"sales.prices_include_tax": True, "sales.tax_rounding": "document"},
    categories=(("wandern", "Wandern"), ("proviant", "Proviant und Karten"), ("dienst", "Dienstleistungen")),
    suppliers=("Strickerei Obermoos", "Kartenverlag Lechtal", "Zeltbau Firnspitze"),
    customers=(
        "Annegret Hölzl", "Berghof Sonnleiten", "Jonas Wiesinger", "Pension Edelgrund", "Kletterhalle Nordwand",
        "Mirjam Aschauer", "Turnverein Auental", "Familie Grubinger", "Hüttenwirtin Seethaler", "Ole Petersen",
    ),
    items=(
        Item("SOCKE-MERINO", "Wandersocke Merino", "wandern", "6.20", "16.95"),
        Item("MUETZE-WOLLE", "Wollmütze", "wandern", "8.10", "24.90"),
        Item("FLASCHE-075", "Trinkflasche 0,75 l", "wandern", "5.35", "14.50", reorder_point="10"),
        Item("STIRNLAMPE", "Stirnlampe 300 lm", "wandern", "14.80", "39.90"),
        Item("STOCK-CARBON", "Wanderstöcke Carbon, Paar", "wandern", "31.00", "89.00"),
        Item("KARTE-LECHTAL", "Wanderkarte Lechtal", "proviant", "4.15", "11.90", tax="reduced", supplier=1),
        Item("FUEHRER-HUETTEN", "Hüttenführer", "proviant", "9.80", "22.00", tax="reduced", supplier=1),
        Item("MUESLI-BERG", "Bergmüsli, lose", "proviant", "5.666667", "12.90", tax="reduced", unit="kg", supplier=1),
        Item("RIEGEL-NUSS", "Nussriegel", "proviant", "0.78", "2.20", tax="reduced", supplier=1, box_of=24),
    ),
    services=(
        Item("VERSAND", "Versand", "dienst", "0", "5.90", kind="service"),
        Item("REPARATUR", "Reparatur", "dienst", "0", "54.00", kind="service", unit="h"),
    ),
    scene=Scene(
        Item("ZELT-2P", "Zelt Firnspitze, 2 Personen", "wandern", "92.00", "189.00", supplier=2),
        quantity=14, first=8, delivered=5, returned=2, service="VERSAND",
    ),
    low=Item("KOCHER-GAS", "Gaskocher", "wandern", "21.50", "49.90", supplier=2, reorder_point="20"),
    held_code="STIRNLAMPE",
    capital="30000.00",
    rent="980.00",
)  # fmt: skip

COMPANIES: Final = (TIDEWATER, ALPENBLICK)
