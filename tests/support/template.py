"""Values with placeholders: filled in for a request, or compared with an answer.

A placeholder stands in `<` and `>` in a text:

- `<uuid>`, `<time>` and the other names of `KINDS` accept any text of that kind;
- `<save:name>` accepts anything and keeps it as `name`, `<save:name:uuid>` accepts a uuid;
- `<new:name:uuid>` does the same, but what it accepts must differ from what `name` was before;
- `<name>` is what was kept as `name`;
- `<a*65>` is the letter 65 times.

A text that is one placeholder stands for a value of any type. `{$json: ...}` is a text that holds this JSON.
"""

import json
import re

PLACEHOLDER = re.compile(r"<([^<>]+)>")
REPEATED = re.compile(r"(.)\*(\d+)")
JSON = "$json"
KINDS = {
    "text": r".+",
    "number": r"-?\d+(?:\.\d+)?",
    "digits": r"\d+",
    "uuid": r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "hex": r"[0-9a-f]+",
    "time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000",
    "instant": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",
    "label": r"[a-z0-9]{32}",
    "url": r"http://[^ ]+",
}


class Names(dict):
    """What placeholders stand for, by name."""

    def fill(self, value):
        """`value` with every placeholder replaced."""
        if isinstance(value, dict):
            return {self.fill(key): self.fill(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.fill(item) for item in value]
        if not isinstance(value, str):
            return value
        whole = PLACEHOLDER.fullmatch(value)
        if whole:
            return self.look_up(whole.group(1))
        return PLACEHOLDER.sub(lambda match: str(self.look_up(match.group(1))), value)

    def look_up(self, name):
        repeated = REPEATED.fullmatch(name)
        if repeated:
            return repeated.group(1) * int(repeated.group(2))
        return self[name]

    def differences(self, expected, actual, path="body"):
        """How `actual` differs from `expected`, a line each; keeps what is to be kept of texts that agree."""
        if isinstance(expected, dict) and JSON in expected:
            return self._json_differences(expected[JSON], actual, path)
        if isinstance(expected, dict) and isinstance(actual, dict):
            return self._member_differences(expected, actual, path)
        if isinstance(expected, list) and isinstance(actual, list):
            return self._item_differences(expected, actual, path)
        if isinstance(expected, str):
            return [] if self._agrees(expected, actual) else [f"{path} is {actual!r}, not {expected!r}"]
        if type(expected) is type(actual) and expected == actual:
            return []
        return [f"{path} is {actual!r}, not {expected!r}"]

    def _json_differences(self, expected, actual, path):
        try:
            value = json.loads(actual)
        except (TypeError, ValueError):
            return [f"{path} is {actual!r}, not JSON"]
        return self.differences(expected, value, f"{path} as JSON")

    def _member_differences(self, expected, actual, path):
        expected = {self.fill(name): value for name, value in expected.items()}
        found = [f"{path} lacks {name}" for name in expected if name not in actual]
        found += [f"{path} has {name}: {value!r}" for name, value in actual.items() if name not in expected]
        for name in expected:
            if name in actual:
                found += self.differences(expected[name], actual[name], f"{path}.{name}")
        return found

    def _item_differences(self, expected, actual, path):
        if len(expected) != len(actual):
            return [f"{path} has {len(actual)} items, not {len(expected)}: {actual!r}"]
        pairs = enumerate(zip(expected, actual))
        return [line for index, (one, other) in pairs for line in self.differences(one, other, f"{path}[{index}]")]

    def _agrees(self, expected, actual):
        whole = PLACEHOLDER.fullmatch(expected)
        if whole and whole.group(1) in self:
            return self[whole.group(1)] == actual
        if not isinstance(actual, str):
            if not whole or isinstance(actual, (dict, list)) or actual is None:
                return False
            text = json.dumps(actual)
        else:
            text = actual
        saved, pattern = self._pattern(expected)
        match = re.fullmatch(pattern, text, re.DOTALL)
        if not match:
            return False
        for group, (way, name) in saved.items():
            value = actual if whole else match.group(group)
            if way == "new" and self.get(name) == value:
                return False
            self[name] = value
        return True

    def _pattern(self, expected):
        """The expression that accepts `expected`, and what its groups are kept as."""
        saved, parts = {}, []
        pieces = PLACEHOLDER.split(expected)
        for index, piece in enumerate(pieces):
            way, _, rest = piece.partition(":")
            if index % 2 == 0:
                parts.append(re.escape(piece))
            elif way in ("save", "new"):
                name, _, kind = rest.partition(":")
                saved[f"group{index}"] = (way, name)
                parts.append(f"(?P<group{index}>{KINDS[kind or 'text']})")
            elif piece in KINDS and piece not in self:
                parts.append(f"(?:{KINDS[piece]})")
            else:
                parts.append(re.escape(str(self.look_up(piece))))
        return saved, "".join(parts)
