"""Users by the million in Redis, as a relay would have written them: what starts and pauses are measured with."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from redis import ConnectionPool

from common import catalogue as catalogues
from common import document as documents
from common import keys, wire
from common.catalogue import Catalogue, Feature
from common.clock import SECOND, Instant, SystemClock
from common.document import Document, Entitlement, Source, digest_of
from common.identifiers import FeatureCode, ProjectId, UserId
from common.wire import Heartbeat, UserChanged

PROJECT: Final = ProjectId("shop")
EPOCH: Final = 1_795_000_000
FEATURES: Final = tuple(FeatureCode(name) for name in ("pro", "export", "seats-3"))
_LONG: Final = 10 * 365 * 86_400 * SECOND  # nobody's grants end while he is asked about
_AT_ONCE: Final = 2_000


@dataclass(slots=True)
class Population:
    """Users `user-0000000` and on, each with three features of a subscription of his own."""

    users: int
    revision: int = 1
    digest: int = 0
    _latest: dict[int, int] = field(default_factory=dict)

    def document(self, number: int, revision: int) -> Document:
        """A user's document as of a revision."""
        began = Instant(1_790_000_000 * SECOND + number * SECOND)
        reference = f"sub_1Q{number:018d}"
        rows = tuple(
            Entitlement(feature, Source.SUBSCRIPTION, reference, began, Instant(began + _LONG), None)
            for feature in FEATURES
        )
        computed_at = Instant(1_795_000_000 * SECOND + revision)
        return Document(UserId(f"user-{number:07d}"), PROJECT, EPOCH, revision, computed_at, rows)

    def catalogue(self) -> Catalogue:
        """The features, sold by one price."""
        features = {feature: Feature(feature) for feature in FEATURES}
        return Catalogue(PROJECT, EPOCH, 1, 1, features, dict.fromkeys(FEATURES, ("price_pro",)))

    def write(self, url: str) -> None:
        """Fill a Redis."""
        connection: Any = ConnectionPool.from_url(url, protocol=2).get_connection()
        connection.send_packed_command([command("CLIENT", "REPLY", "OFF")])
        connection.send_packed_command([command("SET", keys.catalog(PROJECT), catalogues.encode(self.catalogue()))])
        for start in range(0, self.users, _AT_ONCE):
            numbers = range(start, min(start + _AT_ONCE, self.users))
            connection.send_packed_command([b"".join(self._commands(numbers))])
        connection.send_packed_command([command("HSET", keys.meta(PROJECT), *self.meta())])
        connection.send_packed_command([command("CLIENT", "REPLY", "ON")])
        connection.read_response()
        connection.disconnect()

    def change(self, number: int) -> UserChanged:
        """The next revision: a user's document, written anew."""
        self.revision += 1
        before = self.document(number, self._latest.get(number, 1))
        document = self.document(number, self.revision)
        self._latest[number] = self.revision
        self.digest ^= digest_of(before) ^ digest_of(document)
        now = SystemClock().now()
        return UserChanged(document, now, now)

    def meta(self) -> list[str]:
        """What Redis says that it holds: names and values."""
        values = {
            "epoch": str(EPOCH),
            "revision": str(self.revision),
            "count": str(self.users),
            "digest": wire.format_digest(self.digest),
        }
        return [word for pair in values.items() for word in pair]

    def heartbeat(self) -> Heartbeat:
        """What the lease holder says now."""
        return Heartbeat(EPOCH, self.revision, self.revision, self.users, self.digest, SystemClock().now())

    def _commands(self, numbers: range) -> Iterator[bytes]:
        names = []
        for number in numbers:
            document = self.document(number, 1)
            self.digest ^= digest_of(document)
            names.append(document.user_id)
            yield command("SET", keys.document(document.user_id, PROJECT), documents.encode(document))
        yield command("SADD", keys.users(PROJECT), *names)


def command(*words: str | bytes) -> bytes:
    """A command as it goes over the wire."""
    parts = [word if isinstance(word, bytes) else word.encode() for word in words]
    return b"*%d\r\n%b" % (len(parts), b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts))
