"""Identifiers are UUIDs like any other, whichever way they are made."""

import pickle
from uuid import RFC_4122, UUID

from db.identifiers import new_id


def test_an_identifier_is_a_uuid_of_version_seven() -> None:
    made = new_id()
    assert (made.version, made.variant) == (7, RFC_4122)
    twin = UUID(str(made))
    assert (made, hash(made), repr(made), made.is_safe) == (twin, hash(twin), repr(twin), twin.is_safe)
    assert pickle.loads(pickle.dumps(made)) == made


def test_identifiers_differ_and_grow_with_time() -> None:
    made = [new_id() for _ in range(10_000)]
    assert len(set(made)) == len(made)
    stamps = [one.int >> 80 for one in made]
    assert stamps == sorted(stamps)
