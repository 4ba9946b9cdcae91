"""JSON for values that are not plain built-in types. Loaded with the first of them."""

import sys


class Unusual:
    """Encodes what the encoder in C does not know, by the rules of AWS's client: bytes are text, named tuples are
    objects, decimals are numbers, subclasses are their base."""

    def __init__(self, quote):
        self.quote = quote
        self.open = set()

    def encode(self, value):
        parts = []
        self.put(value, parts.append)
        return "".join(parts)

    def put(self, value, emit):
        if value is None or value is True or value is False:
            emit({None: "null", True: "true", False: "false"}[value])
        elif isinstance(value, str):
            emit(self.quote(str.__str__(value)))
        elif isinstance(value, bytes):
            emit(self.quote(value.decode("utf-8")))
        elif isinstance(value, int):
            emit(int.__repr__(value))
        elif isinstance(value, float):
            emit(float_text(value))
        elif isinstance(value, (dict, list, tuple)) or callable(getattr(value, "_asdict", None)):
            self.container(value, emit)
        else:
            decimal = sys.modules.get("decimal")
            if decimal is None or not isinstance(value, decimal.Decimal):
                raise TypeError("Object of type %s is not JSON serializable" % type(value).__name__)
            emit("NaN" if value.is_nan() else str(value))

    def container(self, value, emit):
        if id(value) in self.open:
            raise ValueError("Circular reference detected")
        self.open.add(id(value))
        fields = getattr(value, "_asdict", None)
        items = fields() if callable(fields) else value
        if isinstance(items, dict):
            self.object(items, emit)
        else:
            emit("[")
            for index, item in enumerate(items):
                if index:
                    emit(", ")
                self.put(item, emit)
            emit("]")
        self.open.discard(id(value))

    def object(self, items, emit):
        emit("{")
        for index, (key, value) in enumerate(items.items()):
            if index:
                emit(", ")
            emit(self.quote(self.key(key)))
            emit(": ")
            self.put(value, emit)
        emit("}")

    @staticmethod
    def key(key):
        if isinstance(key, str):
            return str.__str__(key)
        if isinstance(key, bytes):
            return key.decode("utf-8")
        if key is None or key is True or key is False:
            return {None: "null", True: "true", False: "false"}[key]
        if isinstance(key, int):
            return int.__repr__(key)
        if isinstance(key, float):
            return float_text(key)
        raise TypeError("keys must be str, int, float, bool or None, not %s" % type(key).__name__)


def float_text(value):
    if value != value:
        return "NaN"
    return {1e999: "Infinity", -1e999: "-Infinity"}.get(value) or float.__repr__(value)
