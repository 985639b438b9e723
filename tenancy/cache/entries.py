"""Names of cached answers and of the tags whose change ends them; both always of one tenant."""

from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Entry:
    """One cached answer: `kind` of record, the `name` that tells it apart, the tags whose change ends it."""

    kind: str
    name: str
    tags: tuple[str, ...]


def record(kind: str, key: UUID) -> Entry:
    """A record read by its id."""
    return Entry(kind, key.hex, (f"{kind}:all", f"{kind}:{key.hex}"))


def listed(kind: str, identity: bytes, form: str = "list") -> Entry:
    """A page of one kind; `identity` is everything the request asked. `form`: list or search."""
    return Entry(form, f"{kind}:{sha256(identity).hexdigest()}", (f"{form}:all", f"{kind}:all", f"{kind}:any"))


def changed(kind: str, key: UUID) -> tuple[str, ...]:
    """The tags a change of one record moves: its own, and those of the lists it may stand in."""
    return (f"{kind}:{key.hex}", f"{kind}:any")


def entry_key(tenant_id: UUID, entry: Entry) -> str:
    return f"c:{tenant_id.hex}:{entry.kind}:{entry.name}"


def tag_key(tenant_id: UUID, tag: str) -> str:
    return f"tv:{tenant_id.hex}:{tag}"
