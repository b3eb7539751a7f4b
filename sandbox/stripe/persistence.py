"""The state file: written whole to the side and moved into place, read at start."""

import os
import tempfile
from pathlib import Path
from typing import Final

import orjson

from sandbox.stripe.clock import Clock
from sandbox.stripe.store import Store

VERSION: Final = 1


class StateFile:
    """Keeps `store` and the clock's offset in the file at `path`."""

    def __init__(self, path: Path, store: Store, clock: Clock) -> None:
        self._path = path
        self._store = store
        self._clock = clock
        self._saved = -1

    def load(self) -> bool:
        """Take back what was saved; False when there is no file.

        Raises:
            ValueError: the file is not a state file of this version.
        """
        if not self._path.exists():
            return False
        state = orjson.loads(self._path.read_bytes())
        if not isinstance(state, dict) or state.get("version") != VERSION:
            raise ValueError(f"{self._path} is no state file of version {VERSION}: delete it to begin afresh")
        self._clock.offset = state["offset"]
        self._store.load(state["store"])
        self._saved = self._store.changes
        return True

    def save(self) -> bool:
        """Write the state when it changed; the file is whole at every moment."""
        if self._saved == self._store.changes:
            return False
        changes = self._store.changes
        state = {"version": VERSION, "offset": self._clock.offset, "store": self._store.dump()}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=self._path.name)
        with os.fdopen(handle, "wb") as file:
            file.write(orjson.dumps(state))
        Path(name).replace(self._path)
        self._saved = changes
        return True
