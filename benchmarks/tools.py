"""Programs that no wheel brings. What needs one that is missing is left out, and the report says so."""

import os
import shutil
from dataclasses import dataclass
from typing import Final

_PATH: Final = os.defpath + os.pathsep + "/usr/sbin:/usr/local/sbin"


@dataclass(frozen=True, slots=True)
class Tool:
    """A program, and the Debian package that holds it."""

    name: str
    package: str

    def find(self) -> str | None:
        """Its path; None where it is not there. Servers stand in folders that are not on everybody's path."""
        return shutil.which(self.name) or shutil.which(self.name, path=_PATH)

    @property
    def missing(self) -> str:
        """What to say where it is not there."""
        return f"{self.name} was not found; its figures are missing. Debian, Ubuntu: apt-get install {self.package}"


NGINX: Final = Tool("nginx", "nginx-light")
WRK: Final = Tool("wrk", "wrk")
