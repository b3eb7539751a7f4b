"""A project's catalogue as sidecars need it: its features, and the prices that unlock each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import orjson

from common.document import Value
from common.identifiers import FeatureCode, ProjectId, feature_code, project_id
from common.position import Position


class Kind(StrEnum):
    """What a feature's value is."""

    PLAIN = "plain"
    """Held or not held; the value is null."""
    LIMIT = "limit"
    """A whole number or "unlimited"."""
    CONFIG = "config"
    """Text or an object."""


class Combine(StrEnum):
    """How limits of several active sources become one; "unlimited" always wins."""

    MAX = "max"
    SUM = "sum"


class OnStale(StrEnum):
    """What is answered once a copy is too old (`SIDECAR_MAX_STALE`)."""

    SERVE = "serve"
    DENY = "deny"
    ALLOW = "allow"


class CatalogueError(ValueError):
    """A catalogue cannot be read; the message says which part."""


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature of a project."""

    code: FeatureCode
    kind: Kind = Kind.PLAIN
    default: Value = None
    """What everybody has without any source: None nothing, True a plain feature, else a limit or configuration."""
    combine: Combine = Combine.MAX
    on_stale: OnStale | None = None
    """None: as the sidecar's own `SIDECAR_ON_STALE` says."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All features of one project at a revision. `version` counts the project's catalogue edits from 1."""

    project_id: ProjectId
    epoch: int
    revision: int
    version: int
    features: Mapping[FeatureCode, Feature]
    unlocked_by: Mapping[FeatureCode, tuple[str, ...]] = field(default_factory=dict)
    """Active Stripe price ids that grant the feature, sorted."""

    @property
    def position(self) -> Position:
        """Where in the project's history this version was committed."""
        return Position(self.epoch, self.revision)


def to_json(catalogue: Catalogue) -> dict[str, Any]:
    """The catalogue in its public shape."""
    return {
        "project_id": catalogue.project_id,
        "epoch": catalogue.epoch,
        "revision": catalogue.revision,
        "version": catalogue.version,
        "features": {
            code: {**feature_to_json(feature), "unlocked_by": list(catalogue.unlocked_by.get(code, ()))}
            for code, feature in sorted(catalogue.features.items())
        },
    }


def encode(catalogue: Catalogue) -> bytes:
    """The catalogue as UTF-8 JSON."""
    return orjson.dumps(to_json(catalogue))


def decode(data: bytes) -> Catalogue:
    """Read UTF-8 JSON; CatalogueError where it is no catalogue."""
    try:
        return from_json(orjson.loads(data))
    except orjson.JSONDecodeError as error:
        raise CatalogueError("the catalogue is not JSON") from error


def from_json(parsed: Any) -> Catalogue:
    """Read the public shape; unknown fields are passed over; CatalogueError where it is no catalogue."""
    try:
        features = features_from_json(parsed["features"])
        return Catalogue(
            project_id=project_id(parsed["project_id"]),
            epoch=int(parsed["epoch"]),
            revision=int(parsed["revision"]),
            version=int(parsed["version"]),
            features=features,
            unlocked_by={c: tuple(map(str, parsed["features"][c]["unlocked_by"])) for c in features},
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CatalogueError(f"the catalogue is not readable: {type(error).__name__}: {error}") from error


def feature_to_json(feature: Feature) -> dict[str, Any]:
    """What a feature is, without its code and what unlocks it."""
    return {
        "kind": feature.kind.value,
        "default": feature.default,
        "combine": feature.combine.value,
        "on_stale": None if feature.on_stale is None else feature.on_stale.value,
    }


def features_from_json(rows: Any) -> dict[FeatureCode, Feature]:
    """Read back features by code; AttributeError, KeyError, TypeError or ValueError where they are none."""
    return {feature_code(code): _feature(feature_code(code), row) for code, row in rows.items()}


def _feature(code: FeatureCode, row: Any) -> Feature:
    on_stale = row["on_stale"]
    return Feature(
        code=code,
        kind=Kind(row["kind"]),
        default=row["default"],
        combine=Combine(row["combine"]),
        on_stale=None if on_stale is None else OnStale(on_stale),
    )
