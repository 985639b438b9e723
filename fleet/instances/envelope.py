"""What travels between two instances over Redis' publish and subscribe: at most once, or never."""

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from db.errors import DomainError

#: Bytes of one message; a longer one is not sent and not read.
MOST_BYTES: Final = 512 * 1024
_CHANNEL: Final = "erp:fleet"

Body = dict[str, Any]


class Envelope(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`wants`: the sender waits for an answer. `answers`: the id of the message this one answers."""

    id: str
    kind: str
    sender: str
    body: Body
    wants: bool = False
    answers: str = ""
    #: Why the receiver did not do it; empty when it did.
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a message goes: to one instance, to a role, or to everybody."""

    channel: str


EVERYBODY: Final = Address(_CHANNEL)


def role_address(role: str) -> Address:
    return Address(f"{_CHANNEL}:role:{role}")


def instance_address(instance_id: str) -> Address:
    return Address(f"{_CHANNEL}:to:{instance_id}")


class InstanceUnreachable(DomainError):
    """Redis does not answer, or the instance does not listen; whether it lives says the list of instances.

    Fix: repeat the request when the instance is listed, or ask another one.
    """

    code = "instance-unreachable"
    title = "The instance cannot be reached"
    status = 409
    retryable = True


class InstanceSilent(DomainError):
    """The instance got the message and did not answer in time; it may still do what it was told.

    Fix: look at the instance, then repeat the request.
    """

    code = "instance-silent"
    title = "The instance gave no answer in time"
    status = 409
    retryable = True


class InstanceRefused(DomainError):
    """The instance answered that it cannot do this: its role or its release does not know how.

    Fix: ask an instance of another role or release.
    """

    code = "instance-refused"
    title = "The instance cannot do this"
    status = 409
