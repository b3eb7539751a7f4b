"""`docs/recipes/nginx.conf` as a command: a real nginx, with only addresses and folders changed."""

import os
from pathlib import Path
from typing import Final

from aiohttp import encode_basic_auth

from sandbox.ports import free_port
from tests.support.proxies import APP, PROXY, SIDECAR, configured
from tests.support.tools import TOOLS

USERS: Final = ("ann", "bob", "a&b=c")
_PASSWORD: Final = "secret"
_TEMPORARY: Final = ("client_body", "proxy", "fastcgi")


def login(user: str) -> dict[str, str]:
    """The headers of who is logged in."""
    return {"Authorization": encode_basic_auth(user, _PASSWORD)}


def logged_in(url: str, user: str) -> str:
    """The same in an address, as one may be typed into a browser."""
    return url.replace("://", f"://{user}:{_PASSWORD}@", 1)


def nginx_command(sidecar: str, app: str, folder: Path) -> tuple[list[str], int]:
    """What to run, and the port that it listens on."""
    port = free_port()
    own = "".join(f"    {name}_temp_path {folder};\n" for name in _TEMPORARY)
    more = ("http {\n", f"http {{\n    access_log off;\n{own}")
    config = configured("nginx.conf", folder, {PROXY: f"127.0.0.1:{port}", APP: app, SIDECAR: sidecar}, more)
    (folder / "users").write_text("".join(f"{user}:{{PLAIN}}{_PASSWORD}\n" for user in USERS), encoding="utf-8")
    binary = TOOLS["nginx"].find()
    assert binary is not None
    log = folder / "error.log"
    user = "user root;" if os.geteuid() == 0 else ""  # else workers are somebody who may not read this folder
    directives = f"daemon off; pid {folder}/nginx.pid; error_log {log}; {user}"
    return [binary, "-p", str(folder), "-e", str(log), "-c", str(config), "-g", directives], port
