"""A real Prometheus on a loopback port, which scrapes a running stack and evaluates our alerts."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import yaml

from sandbox.local_server import LocalServer
from sandbox.processes import ChildProcess, ProcessConfig, ProcessError
from sandbox.readiness import until_ready
from tests.support.tools import TOOLS

_SECONDS: Final = 30.0
_TIMEOUT: Final = aiohttp.ClientTimeout(total=10)


@dataclass(frozen=True, slots=True)
class PrometheusConfig:
    """What it scrapes each second, as `host:port` by job, and the rules that it evaluates."""

    targets: Mapping[str, Sequence[str]]
    rules: Path
    log_path: Path
    port: int | None = None


class Prometheus(LocalServer):
    """One server, its data thrown away."""

    def __init__(self, config: PrometheusConfig, session: aiohttp.ClientSession) -> None:
        self.config = config
        self._session = session
        super().__init__("prometheus", config.port)

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """The samples of an expression now; ProcessError where Prometheus does not take it."""
        async with self._session.post(
            f"{self.url}/api/v1/query", data={"query": expression}, timeout=_TIMEOUT
        ) as answer:
            told = await answer.json()
        if told["status"] != "success":
            raise ProcessError(f"{told['error']}: {expression}")
        samples: list[dict[str, Any]] = told["data"]["result"]
        return samples

    async def rules(self) -> list[dict[str, Any]]:
        """Every rule with its health and what it made of the last evaluation."""
        async with self._session.get(f"{self.url}/api/v1/rules", timeout=_TIMEOUT) as answer:
            told = await answer.json()
        return [rule for group in told["data"]["groups"] for rule in group["rules"]]

    async def _prepare(self) -> None:
        folder = self._own_directory()
        shutil.copy(self.config.rules, folder / "alerts.yaml")
        jobs = [
            {"job_name": job, "static_configs": [{"targets": list(targets)}]}
            for job, targets in self.config.targets.items()
        ]
        settings = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": ["alerts.yaml"],
            "scrape_configs": jobs,
        }
        (folder / "prometheus.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")

    async def _start_on(self, port: int) -> None:
        found = TOOLS["promtool"].find()
        if found is None:
            raise ProcessError(f"Prometheus is not installed: {TOOLS['promtool'].how}")
        folder = self._own_directory()
        argv = (
            str(Path(found).with_name("prometheus")),
            f"--config.file={folder / 'prometheus.yaml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
        )
        self._process = ChildProcess(ProcessConfig(name="prometheus", argv=argv, log_path=self.config.log_path))
        self._process.start()
        await until_ready(self._process, lambda: self._probe(port), _SECONDS)

    async def _probe(self, port: int) -> str | None:
        try:
            async with self._session.get(f"http://127.0.0.1:{port}/-/ready", timeout=_TIMEOUT) as answer:
                return None if answer.ok else f"it answers {answer.status}"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return type(error).__name__
