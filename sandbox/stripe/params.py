"""Reading decoded parameters: what they must be, and Stripe's errors when they are not."""

from collections.abc import Collection, Iterator

from sandbox.stripe.errors import StripeError, invalid, required
from sandbox.stripe.shapes import JsonObject


class Params:
    """One hash of a request's parameters; `path` is its name in errors, such as `items[0]`."""

    def __init__(self, values: JsonObject, path: str = "") -> None:
        self.values = values
        self.path = path

    def named(self, name: str) -> str:
        """The parameter as the client wrote it."""
        return f"{self.path}[{name}]" if self.path else name

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def given(self, name: str) -> bool:
        """Sent, and not as the empty string that unsets it."""
        return self.values.get(name) not in (None, "")

    def text(self, name: str, default: str | None = None) -> str | None:
        """A string, or None when absent or unset."""
        value = self.values.get(name, default)
        if value is None or value == "":
            return default if name not in self.values else None
        if not isinstance(value, str):
            raise invalid(f"Invalid string: {value}", param=self.named(name))
        return value

    def need(self, name: str) -> str:
        """A string that must be there."""
        value = self.text(name)
        if value is None:
            raise required(self.named(name))
        return value

    def integer(self, name: str, default: int | None = None, *, minimum: int | None = None) -> int | None:
        """A whole number, or None when absent or unset."""
        value = self.text(name)
        if value is None:
            return default
        try:
            number = int(value)
        except ValueError:
            code = "parameter_invalid_integer"
            raise invalid(f"Invalid integer: {value}", param=self.named(name), code=code) from None
        if minimum is not None and number < minimum:
            message = f"This value must be greater than or equal to {minimum}."
            raise invalid(message, param=self.named(name), code="parameter_invalid_integer")
        return number

    def flag(self, name: str, *, default: bool = False) -> bool:
        """A boolean."""
        value = self.text(name)
        if value is None:
            return default
        if value not in ("true", "false", "True", "False"):
            raise invalid(f"Invalid boolean: {value}", param=self.named(name))
        return value in ("true", "True")

    def choice(self, name: str, options: Collection[str], default: str | None = None) -> str | None:
        """One of `options`."""
        value = self.text(name, default)
        if value is not None and value not in options:
            allowed = ", ".join(sorted(options))
            raise invalid(f"Invalid {self.named(name)}: must be one of {allowed}", param=self.named(name))
        return value

    def hash(self, name: str) -> "Params":
        """A nested hash; empty when absent or unset."""
        value = self.values.get(name)
        if value is None or value == "":
            return Params({}, self.named(name))
        if not isinstance(value, dict):
            raise StripeError(400, "Invalid object", param=self.named(name))
        return Params(value, self.named(name))

    def hashes(self, name: str) -> "Iterator[Params]":
        """An array of hashes."""
        for index, value in enumerate(self._array(name)):
            if not isinstance(value, dict):
                raise invalid("Invalid object", param=f"{self.named(name)}[{index}]")
            yield Params(value, f"{self.named(name)}[{index}]")

    def texts(self, name: str) -> list[str]:
        """An array of strings."""
        values = self._array(name)
        if not all(isinstance(value, str) for value in values):
            raise invalid("Invalid array", param=self.named(name))
        return [str(value) for value in values]

    def metadata(self, current: JsonObject | None = None, name: str = "metadata") -> JsonObject:
        """`current` with the sent keys merged in; an empty value removes its key, `metadata=` all of them."""
        merged = dict(current or {})
        value = self.values.get(name)
        if value == "":
            return {}
        for key, text in self.hash(name).values.items():
            if text == "":
                merged.pop(key, None)
            elif isinstance(text, str):
                merged[key] = text
            else:
                raise invalid("Metadata values must be strings", param=f"{self.named(name)}[{key}]")
        return merged

    def _array(self, name: str) -> list[object]:
        value = self.values.get(name)
        if value is None or value == "":
            return []
        if not isinstance(value, list):
            raise invalid("Invalid array", param=self.named(name))
        return value
