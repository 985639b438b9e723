"""Strict decoding for every route that declares `data: SomeInput`: the application's `dto=JsonBody`.

Litestar hands a DTO the raw bytes and then leaves its result alone; its own decoding would coerce "1" to 1,
take the last of two equal keys and read any media type as JSON.
"""

from collections.abc import Generator
from typing import Any, ClassVar

from litestar.dto import AbstractDTO, DTOFieldDefinition
from litestar.openapi.spec import Reference, Schema
from litestar.typing import FieldDefinition

from erp.http.body import BodyDecoder, check_json
from erp.http.context import context_of


class JsonBody(AbstractDTO[Any]):
    """Knows the input type of every handler; decodes with `BodyDecoder`, raising its errors."""

    _decoders: ClassVar[dict[str, BodyDecoder[Any]]] = {}

    @classmethod
    def create_for_field_definition(
        cls, field_definition: FieldDefinition, handler_id: str, backend_cls: Any = None
    ) -> None:
        cls._decoders[handler_id] = BodyDecoder(field_definition.annotation)

    def decode_bytes(self, value: bytes) -> Any:
        headers = context_of(self.asgi_connection.scope).headers
        check_json(headers.get(b"content-type"), headers.get(b"content-encoding"))
        return self._decoders[self.asgi_connection.route_handler.handler_id](value)

    @classmethod
    def create_openapi_schema(
        cls, field_definition: FieldDefinition, handler_id: str, schema_creator: Any
    ) -> Reference | Schema:
        schema: Reference | Schema = schema_creator.for_field_definition(field_definition)
        return schema

    @classmethod
    def generate_field_definitions(cls, model_type: type[Any]) -> Generator[DTOFieldDefinition, None, None]:
        """Never asked: the type itself is the definition."""
        yield from ()

    @classmethod
    def detect_nested_field(cls, field_definition: FieldDefinition) -> bool:
        return False
