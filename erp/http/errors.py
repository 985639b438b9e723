"""Refusals of the HTTP layer itself: bodies, headers, limits and routes."""

from db.errors import DomainError


class InvalidJson(DomainError):
    """The body is not one JSON value in UTF-8 (RFC 8259).

    Fix: send valid JSON without a byte order mark, without lone surrogates and without NaN or Infinity.
    """

    code = "invalid-json"
    title = "The body is not valid JSON"
    status = 400


class JsonTooDeep(DomainError):
    """Arrays and objects in the body are nested more than 32 deep.

    Fix: no operation needs more than a few levels; see its schema in the API reference.
    """

    code = "json-too-deep"
    title = "The body is nested too deeply"
    status = 400


class DuplicateKey(DomainError):
    """An object in the body, or a query parameter, names the same key twice; readers would disagree on it.

    Fix: send every key once.
    """

    code = "duplicate-key"
    title = "A key appears twice"
    status = 400


class UnsupportedMediaType(DomainError):
    """The body's media type, character set or encoding is not what this operation reads.

    Fix: send `Content-Type: application/json` (UTF-8) and no `Content-Encoding`.
    """

    code = "unsupported-media-type"
    title = "The media type is not supported"
    status = 415


class PayloadTooLarge(DomainError):
    """The body is larger than this operation accepts.

    Fix: send less at once; `POST /v1/bulk/{resource}` streams any number of rows.
    """

    code = "payload-too-large"
    title = "The body is too large"
    status = 413


class InvalidText(DomainError):
    """A text holds characters that are invisible, reorder their surroundings or cannot be stored.

    Control characters (except newline and tab), bidirectional controls, zero-width characters and long
    stacks of combining marks are refused: two names must not look alike and differ.

    Fix: remove the characters from the field that `pointer` names.
    """

    code = "invalid-text"
    title = "A text holds forbidden characters"
    status = 422


class MissingField(DomainError):
    """A required field or parameter is missing; `pointer` names it.

    Fix: add the field.
    """

    code = "missing-field"
    title = "A required field is missing"
    status = 422


class AmountMustBeString(DomainError):
    """An amount, price, quantity or rate came as a JSON number, which may have lost digits on the way.

    Fix: send it as a string, such as "19.90".
    """

    code = "amount-must-be-string"
    title = "Amounts are strings"
    status = 422


class MethodNotAllowed(DomainError):
    """The resource exists, but not for this HTTP method; the Allow header lists those it has.

    Fix: use one of the allowed methods. Method overrides are ignored.
    """

    code = "method-not-allowed"
    title = "The method is not allowed here"
    status = 405


class BadRequest(DomainError):
    """The request line or a header cannot be understood.

    Fix: correct the request as `detail` says.
    """

    code = "bad-request"
    title = "The request cannot be understood"
    status = 400


class InternalError(DomainError):
    """A defect on our side; it has been recorded under the correlation id.

    Fix: repeat with the same Idempotency-Key; report the correlation id when it persists.
    """

    code = "internal-error"
    title = "An unexpected error occurred"
    status = 500


class RateLimited(DomainError):
    """More requests came than the limit named in `limit_name` allows per minute.

    Fix: wait for Retry-After; spread requests, or use batch, bulk and lists instead of many single calls.
    """

    code = "rate-limited"
    title = "Too many requests"
    status = 429
    retryable = True


class IdempotencyKeyRequired(DomainError):
    """This operation moves money or stock and needs an Idempotency-Key, so that a repeat is harmless.

    Fix: send a new random `Idempotency-Key` for each intention and the same one for each repeat.
    """

    code = "idempotency-key-required"
    title = "An Idempotency-Key is required"
    status = 400


class InvalidIdempotencyKey(DomainError):
    """The Idempotency-Key is not 16 to 255 visible ASCII characters.

    Fix: use a UUID or another random text of at least 16 characters.
    """

    code = "invalid-idempotency-key"
    title = "The Idempotency-Key is not valid"
    status = 400


class PreconditionRequired(DomainError):
    """This change needs an If-Match header, so that nobody overwrites what they have not seen.

    Fix: read the resource and send its ETag as If-Match.
    """

    code = "precondition-required"
    title = "An If-Match header is required"
    status = 428


class InvalidPrecondition(DomainError):
    """The If-Match header is not one strong entity tag of this API, such as `"3"`.

    Fix: send the ETag of the resource unchanged.
    """

    code = "invalid-if-match"
    title = "The If-Match header is not valid"
    status = 400


class NotReady(DomainError):
    """This instance takes no new requests: it is starting, draining, or something of its own is stuck.

    Fix: send the request to another instance; a load balancer does so by itself.
    """

    code = "not-ready"
    title = "The instance is not ready"
    status = 503
    retryable = True


class ClientDisconnected(DomainError):
    """The client closed the connection before its request was complete. Nobody reads this answer.

    Fix: repeat the request.
    """

    code = "client-disconnected"
    title = "The client closed the connection"
    status = 400
    retryable = True
