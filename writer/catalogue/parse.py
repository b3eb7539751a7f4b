"""Reads a declared catalogue and finds all faults at once, each with its path and what is allowed."""

import difflib
from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Any, Final, TypeVar

from common.catalogue import Combine, Feature, Kind, OnStale
from common.document import Value
from common.identifiers import FeatureCode, IdentifierError, feature_code
from writer.catalogue.declared import TARGET, DeclaredFeature, ProjectCatalog, keepable, value_fault
from writer.domain.catalogue import Origin, Plan, PlanFeature

E = TypeVar("E", bound=StrEnum)

_MAX_NAME: Final = 200
_MAX_RANK: Final = 1_000_000
_PROJECT_FIELDS: Final = ("name", "features", "plans")
_FEATURE_FIELDS: Final = ("kind", "name", "default", "combine", "on_stale")
_PLAN_FIELDS: Final = ("rank", "features")
_GRANT_FIELDS: Final = ("value", "per_unit")


_CODES: Final = {"pattern": "^[A-Za-z0-9_.-]{1,64}$"}
_SOME_NAME: Final = {"type": ["string", "null"], "minLength": 1, "maxLength": _MAX_NAME, "pattern": "^[^\\u0000]*$"}
_FEATURE_SCHEMA: Final = {
    "type": ["object", "null"],
    "additionalProperties": False,
    "properties": {
        "kind": {"enum": [*Kind, None], "default": Kind.PLAIN.value},
        "name": _SOME_NAME,
        "default": {"description": "What everybody has"},
        "combine": {"enum": [*Combine, None], "description": "Of limits"},
        "on_stale": {"enum": [*OnStale, None]},
    },
}
_PLAN_SCHEMA: Final = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "rank": {"type": "integer", "minimum": -_MAX_RANK, "maximum": _MAX_RANK, "default": 0},
        "features": {
            "type": ["object", "array", "null"],
            "description": "Codes with their values, or a list of codes of plain features",
        },
    },
    "required": ["features"],
}
SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "name": _SOME_NAME,
        "features": {
            "type": ["object", "null"],
            "propertyNames": _CODES,
            "additionalProperties": _FEATURE_SCHEMA,
        },
        "plans": {
            "type": ["object", "null"],
            "propertyNames": {"pattern": f"^{TARGET.pattern}$"},
            "additionalProperties": _PLAN_SCHEMA,
        },
    },
}
"""The form of one project's catalogue as JSON Schema can tell it; what belongs together is judged below."""


class Faults:
    """Collects what is wrong, by path."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, path: str, reason: str) -> None:
        """Note a fault at `path`."""
        self.lines.append(f"{path or 'catalog'}: {reason}")

    def mapping(self, path: str, value: Any, allowed: Collection[str] | None = None) -> Mapping[str, Any]:
        """`value` where it is a mapping with text keys, out of `allowed` where that is given; else an empty one."""
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.add(path, "must be a mapping")
            return {}
        good = {}
        for name, part in value.items():
            if not isinstance(name, str):
                self.add(path, f"{name!r} is no text; put it in quotes")
            elif allowed is not None and name not in allowed:
                self.add(join(path, name), f"is not known{near(name, allowed)}; allowed: {', '.join(allowed)}")
            else:
                good[name] = part
        return good


def join(path: str, name: str) -> str:
    """A path one step further."""
    return f"{path}.{name}" if path else name


def near(name: str, known: Collection[str]) -> str:
    """A hint at what was probably meant."""
    close = difflib.get_close_matches(name, sorted(known), n=1)
    return f", did you mean {close[0]}?" if close else ""


def project_catalog(value: Any, path: str, faults: Faults) -> ProjectCatalog:
    """One project's catalogue; what is wrong with it goes to `faults`."""
    parts = faults.mapping(path, value, _PROJECT_FIELDS)
    features: dict[FeatureCode, DeclaredFeature] = {}
    at = join(path, "features")
    for code, row in faults.mapping(at, parts.get("features")).items():
        try:
            features[feature_code(code)] = _feature(feature_code(code), row, join(at, code), faults)
        except IdentifierError as error:
            faults.add(join(at, code), str(error))
    at = join(path, "plans")
    plans = {
        target: _plan(target, row, join(at, target), features, faults)
        for target, row in faults.mapping(at, parts.get("plans")).items()
    }
    return ProjectCatalog(features, plans, _name(parts.get("name"), join(path, "name"), faults))


def _feature(code: FeatureCode, row: Any, path: str, faults: Faults) -> DeclaredFeature:
    parts = faults.mapping(path, row, _FEATURE_FIELDS)
    kind = _choice(Kind, parts.get("kind"), join(path, "kind"), faults) or Kind.PLAIN
    combine = _choice(Combine, parts.get("combine"), join(path, "combine"), faults)
    if combine is not None and kind is not Kind.LIMIT:
        faults.add(join(path, "combine"), "is for limits only; set kind: limit, or leave it out")
    on_stale = _choice(OnStale, parts.get("on_stale"), join(path, "on_stale"), faults)
    default = _default(kind, parts.get("default"), join(path, "default"), faults)
    feature = Feature(code, kind, default, combine or Combine.MAX, on_stale)
    return DeclaredFeature(feature, _name(parts.get("name"), join(path, "name"), faults))


def _default(kind: Kind, value: Any, path: str, faults: Faults) -> Value:
    if value is None or (kind is Kind.PLAIN and value is False):
        return None
    if kind is Kind.PLAIN:
        if value is not True:
            faults.add(path, "a plain feature's default is true or false")
        return True
    reason = value_fault(kind, value)
    if reason:
        faults.add(path, reason)
        return None
    return value  # type: ignore[no-any-return]  # value_fault has judged it


def _plan(target: str, row: Any, path: str, features: Mapping[FeatureCode, DeclaredFeature], faults: Faults) -> Plan:
    if not TARGET.fullmatch(target):
        faults.add(path, "a plan stands under a Stripe price_… or prod_… id")
    parts = faults.mapping(path, row, _PLAN_FIELDS)
    rank = parts.get("rank", 0)
    if type(rank) is not int or abs(rank) > _MAX_RANK:
        faults.add(join(path, "rank"), f"must be a whole number from -{_MAX_RANK} to {_MAX_RANK}")
        rank = 0
    if "features" not in parts:
        faults.add(path, "features is missing; features: [] says that it grants nothing")
    granted = _granted(parts.get("features"), join(path, "features"), features, faults)
    return Plan(target, Origin.CATALOG, granted, rank)


def _granted(
    value: Any, path: str, features: Mapping[FeatureCode, DeclaredFeature], faults: Faults
) -> tuple[PlanFeature, ...]:
    rows = _listed(value, path, faults) if isinstance(value, list) else faults.mapping(path, value)
    granted = []
    for code, row in rows.items():
        declared = features.get(FeatureCode(code))
        if declared is None:
            faults.add(join(path, code), f"is no feature of this project{near(code, features)}")
        else:
            granted.append(_grant(declared.feature, row, join(path, code), faults))
    return tuple(sorted(granted, key=lambda one: one.feature_code))


def _listed(codes: list[Any], path: str, faults: Faults) -> Mapping[str, Any]:
    rows: dict[str, Any] = {}
    for index, code in enumerate(codes):
        if not isinstance(code, str):
            faults.add(f"{path}[{index}]", "must be a feature's code; values are given as code: value in a mapping")
        elif code in rows:
            faults.add(f"{path}[{index}]", f"{code} is there twice")
        else:
            rows[code] = True
    return rows


def _grant(feature: Feature, row: Any, path: str, faults: Faults) -> PlanFeature:
    value: Any = row
    per_unit: Any = False
    # A configuration that is an object is written under `value`, like everything that has a second word to say.
    if isinstance(row, dict):
        parts = faults.mapping(path, row, _GRANT_FIELDS)
        value, per_unit = parts.get("value"), parts.get("per_unit", False)
    if type(per_unit) is not bool:
        faults.add(join(path, "per_unit"), "must be true or false")
    elif per_unit and (feature.kind is not Kind.LIMIT or type(value) is not int):
        faults.add(join(path, "per_unit"), "is for limits that are a number")
    if feature.kind is Kind.PLAIN and value is True:
        value = None
    reason = value_fault(feature.kind, value)
    if reason:
        faults.add(path, f"{reason}{'; write true' if feature.kind is Kind.PLAIN else ''}")
        return PlanFeature(feature.code)
    return PlanFeature(feature.code, value, per_unit is True)


def _choice(kind: type[E], value: Any, path: str, faults: Faults) -> E | None:
    if value is None:
        return None
    allowed = [str(one) for one in kind]
    if not isinstance(value, str) or value not in allowed:
        faults.add(path, f"must be one of {', '.join(allowed)}{near(str(value), allowed)}")
        return None
    return kind(value)


def _name(value: Any, path: str, faults: Faults) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not 1 <= len(value) <= _MAX_NAME or not keepable(value):
        faults.add(path, f"must be a text of 1 to {_MAX_NAME} characters")
        return None
    return value
