"""Strict validation of Kubernetes objects: the published schemas, and our own for two resources of an operator."""

from typing import Any

import jsonschema
import kubernetes_validate

from tests.deploy.manifests import Manifest

#: A release that still gets fixes; the API fields used here exist since 1.30 or are optional.
KUBERNETES = "1.34"

_TEXT: dict[str, Any] = {"type": "string", "minLength": 1}
_TEXTS: dict[str, Any] = {"type": "object", "additionalProperties": {"type": "string"}}
_DURATION: dict[str, Any] = {"type": "string", "pattern": "^([0-9]+(ms|s|m|h|d))+$"}
_SELECTOR: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "matchLabels": _TEXTS,
        "matchExpressions": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["key", "operator"],
                "properties": {
                    "key": _TEXT,
                    "operator": {"enum": ["In", "NotIn", "Exists", "DoesNotExist"]},
                    "values": {"type": "array", "items": _TEXT},
                },
            },
        },
    },
}


def _resource(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "properties": {
            "apiVersion": {"const": "monitoring.coreos.com/v1"},
            "kind": {"const": kind},
            "metadata": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name"],
                "properties": {"name": _TEXT, "namespace": _TEXT, "labels": _TEXTS, "annotations": _TEXTS},
            },
            "spec": {"type": "object", "additionalProperties": False, **spec},
        },
    }


#: The part of the Prometheus operator's resources that we use, after its published API reference.
OPERATORS = {
    "PodMonitor": _resource(
        "PodMonitor",
        {
            "required": ["selector", "podMetricsEndpoints"],
            "properties": {
                "selector": _SELECTOR,
                "podTargetLabels": {"type": "array", "items": _TEXT},
                "sampleLimit": {"type": "integer", "minimum": 1},
                "podMetricsEndpoints": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["port"],
                        "properties": {
                            "port": _TEXT,
                            "path": {"type": "string", "pattern": "^/"},
                            "interval": _DURATION,
                            "scrapeTimeout": _DURATION,
                        },
                    },
                },
            },
        },
    ),
    "PrometheusRule": _resource(
        "PrometheusRule",
        {
            "required": ["groups"],
            "properties": {
                "groups": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["name", "rules"],
                        "properties": {
                            "name": _TEXT,
                            "rules": {
                                "type": "array",
                                "items": {
                                    "type": "object",
                                    "additionalProperties": False,
                                    "required": ["alert", "expr"],
                                    "properties": {
                                        "alert": _TEXT,
                                        "expr": _TEXT,
                                        "for": _DURATION,
                                        "labels": _TEXTS,
                                        "annotations": _TEXTS,
                                    },
                                },
                            },
                        },
                    },
                }
            },
        },
    ),
}


def problem_with(found: Manifest) -> str | None:
    """What is wrong with one object, unknown fields included; None when it is valid."""
    own = OPERATORS.get(found.get("kind", ""))
    try:
        if own is not None:
            jsonschema.validate(found, own)
        else:
            kubernetes_validate.validate(found, KUBERNETES, strict=True)
    except (jsonschema.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
        return str(getattr(error, "message", error))
    return None
