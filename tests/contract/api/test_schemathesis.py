"""The running writer answers generated requests as its own document says, and without a fault."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.contract.api.conftest import ADMIN, Running
from writer import throttle

HERE = Path(__file__).parent
EXAMPLES = int(os.environ.get("API_EXAMPLES", "3"))
"""Per operation. `make test-api` asks for more, and for the edges of each parameter and body besides."""
PHASES = os.environ.get("API_PHASES", "fuzzing")
LONGEST_S = int(os.environ.get("API_LONGEST_S", "180"))


@pytest.mark.timeout(LONGEST_S)
async def test_generated_requests_are_answered_as_the_document_says(
    running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Status, media type and shape of every answer are declared; the malformed is refused; nothing is a fault."""
    # Hundreds of requests without a key come from one address here; what they are answered then has its own tests.
    monkeypatch.setattr(throttle, "BURST", 1_000_000)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml"), "run",
        f"{running.url}/openapi.json", "--phases", PHASES, "--max-examples", str(EXAMPLES),
        "--continue-on-failure", "--warnings", "off", "--no-color",
        env={
            **os.environ,
            "WRITER_URL": running.url,
            "ADMIN_API_KEY": ADMIN,
            "PROJECT_API_KEY": running.keys["shop"],
            "HYPOTHESIS_STORAGE_DIRECTORY": str(tmp_path),
        },
        cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        told, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, told.decode()[-20_000:]
