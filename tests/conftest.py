"""What every test may ask for."""

pytest_plugins = ["tests.support.skips", "tests.support.postgres", "tests.support.redis"]
