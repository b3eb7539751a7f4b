"""What every test may ask for."""

from importlib.util import find_spec

from hypothesis import settings

from tests.support.scratch import use_memory

pytest_plugins = [
    "tests.support.secrecy",
    "tests.support.skips",
    "tests.support.tools",
    "tests.support.postgres",
    "tests.support.redis",
]

# Helm's wheel is for Linux alone (pyproject.toml): elsewhere the charts are not tested.
collect_ignore = [] if find_spec("helm_python") else ["contract/charts", "integration/charts"]

use_memory()

settings.register_profile("suite", deadline=None)  # a machine may be busy; a time is never what is tested
settings.load_profile("suite")
