"""A copy of this repository's files, as a clone would have them: what a run writes never lands in the repository."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]

# As the guide prints it.
ENVIRONMENT: Final = """\
# Database
DATABASE_URL=postgresql://billing_user:billing_pass@postgres:5432/billing_db

# Redis
REDIS_URL=redis://redis:6379/0

# Stripe
STRIPE_SECRET_KEY=sk_test_...
STRIPE_PUBLISHABLE_KEY=pk_test_...
STRIPE_WEBHOOK_SECRET=whsec_...

# API Keys
ADMIN_API_KEY=admin_key_here
"""


def clone(folder: Path) -> None:
    """Copy what git knows or would add, with the wheels that are at hand, and write the guide's `.env`."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=60,
    )
    names = [os.fsdecode(name) for name in listed.stdout.split(b"\0") if name]
    wheels = [str(path.relative_to(ROOT)) for path in (ROOT / "deploy" / "wheels").glob("*.whl")]
    for name in [*names, *wheels]:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    (folder / ".env").write_text(ENVIRONMENT, encoding="utf-8")
