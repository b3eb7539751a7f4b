"""The guard against secrets in logs finds them, wherever the suite logs."""

import logging
from pathlib import Path

import pytest

from common.redis_url import parse
from common.settings import Secret
from tests.support import secrecy

SECRETS = (
    "sk_live_abcDEF123",
    "rk_test_read_1",
    "whsec_a1b2",
    f"bk_{'0a' * 32}",
    f"admin_{'0b' * 16}",
    "postgresql://user:p%40ss@db/billing",
    "Authorization: Bearer anything-at-all",
)


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_is_noticed_in_a_record_and_in_a_file(secret: str, tmp_path: Path) -> None:
    """In the words, in the error that is told with them, and in what another process wrote."""
    log = logging.getLogger("writer.somewhere")
    log.error("it was %s", secret)
    error = ValueError()
    error.__cause__ = RuntimeError(f"no {secret}")
    log.error("failed", exc_info=error)
    assert len(secrecy.listener.taken()) == 2
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "writer.log").write_text(f"one line\nanother with {secret} in it\n", encoding="utf-8")
    (leak,) = secrecy.leaks_under(tmp_path)
    assert secret not in str(leak)
    (tmp_path / "logs" / "writer.log").unlink()


@pytest.mark.parametrize(
    "words",
    [
        "STRIPE_WEBHOOK_SECRET must hold secrets that begin with whsec_, comma-separated",
        "STRIPE_SECRET_KEY must begin with sk_test_, sk_live_, rk_test_ or rk_live_",
        "send the key as Authorization: Bearer KEY",
        "redis://***@cache:6379/0 is away",
        "http://127.0.0.1:8000/api/v1/check",
        f"it is {Secret('hidden')} of {parse('redis://127.0.0.1:6379/0')}",
    ],
)
def test_words_about_secrets_are_none(words: str) -> None:
    """What names a secret's form, or hides it, is not taken for one."""
    assert list(secrecy.leaks_in(words.encode(), "here")) == []
