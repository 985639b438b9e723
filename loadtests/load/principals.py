"""Who the virtual users are: tenants with some data, and an API key for every user, all made through the API."""

from collections.abc import Callable
from itertools import islice

from loadtests.fleet import Fleet
from loadtests.load.budgets import Budgets
from loadtests.locustfiles.wire import Cast, Principal
from loadtests.tenant import SHOP, Books, fill

#: The story whose users share a tenant that has no other users.
NOISY = "noisy_tenant"


async def make_cast(fleet: Fleet, budgets: Budgets, told: Callable[[str], None]) -> Cast:
    """Raises ApiProblem, BadRow."""
    quiet = [name for name in budgets.stories if name != NOISY]
    wanted = sum(budgets.stories[name].users for name in quiet)
    tenants = budgets.run.tenants
    shares = [wanted // tenants + (number < wanted % tenants) for number in range(tenants)]
    books = [await _shop(fleet, number, share, told) for number, share in enumerate(shares, 1)]
    # Dealt out like cards, so that every story has users of every tenant.
    pool = iter([user for round_ in _rounds(books) for user in round_])
    cast = {name: list(islice(pool, budgets.stories[name].users)) for name in quiet}
    if NOISY in budgets.stories:
        noisy = await _shop(fleet, 0, budgets.stories[NOISY].users, told)
        cast[NOISY] = _principals(noisy)
    paces = {name: budget.per_minute for name, budget in budgets.stories.items()}
    return Cast(cast, paces, str(fleet.certificate))


async def _shop(fleet: Fleet, number: int, users: int, told: Callable[[str], None]) -> Books:
    name = f"Shop {number} Ltd" if number else "Noisy Neighbour Ltd"
    books = await fill(fleet, name, SHOP, users, lambda what, done, total: None)
    told(f"{name}: {users} API keys, {SHOP.products} products, {SHOP.customers} customers")
    return books


def _principals(books: Books) -> list[Principal]:
    products = [product.id for product in books.products]
    return [Principal(key, products, list(books.customers), list(books.orders)) for key in books.keys]


def _rounds(books: list[Books]) -> list[list[Principal]]:
    """The first user of every tenant, then the second of each, and so on."""
    hands = [_principals(one) for one in books]
    longest = max(len(hand) for hand in hands)
    return [[hand[number] for hand in hands if number < len(hand)] for number in range(longest)]
