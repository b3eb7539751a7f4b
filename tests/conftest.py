"""What every test may ask for."""

pytest_plugins = [
    "tests.support.secrecy",
    "tests.support.skips",
    "tests.support.tools",
    "tests.support.postgres",
    "tests.support.redis",
]
