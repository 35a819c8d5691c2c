"""Values of the shapes of the service model: one that is sound, and those that each break a constraint."""

import itertools

from support.grammar import JUDGED_LATER, constraints

ARN = "arn:aws:lambda:us-east-1:000000000000"
# One of these is sound text of any shape.
SOUND = (
    "x", "1", "name", "value-x", "*", "Active", "000000000000", "o-a1b2c3d4e5", "subnet-1", "sg-1", "/mnt/x",
    "lambda:GetLayerVersion", "lambda:InvokeFunction", "example.com:1000", "https://registry", "us-east-1", "ALL",
    "11111111-2222-3333-4444-555555555555", f"{ARN}:function:name", f"{ARN}:layer:name:1", f"{ARN}:capacity-provider:x",
    f"{ARN}:code-signing-config:csc-01234567890123456", "arn:aws:iam::000000000000:role/name",
    f"{ARN}:event-source-mapping:11111111-2222-3333-4444-555555555555", "arn:aws:lambda:us-east-1::runtime:" + "0" * 64,
    f"{ARN}:function:name:1/durable-execution/name/id", f"{ARN}:runtime/some-runtime-of-ours", "a1b2c3d4e5f6a1b2c3d4e5f6a1b2c3d4e5f6",
    "arn:aws:elasticfilesystem:us-east-1:000000000000:access-point/fsap-01234567890123456",
)  # fmt: skip
# One of these breaks any pattern that can be broken, most of them alone.
BROKEN = ("!", "a!", "a b!", "a*b", "a:b!", ".", "..", "a.", "system.a", "$", "a$", "a\nb", "1.", "x" * 12, "a b!" * 12)
# More characters than this are not sent: the body of a request is limited too.
LONGEST = 100_000
SMALLEST, LARGEST = -(2**31), 2**31 - 1
NOT_IN_ANY_SET = "invalid-value"


def is_sound(shape, value):
    return all(constraint.holds(value) for constraint in constraints(shape))


def sound(shape):
    """A value that satisfies every constraint, with the members that it must have."""
    if shape.type_name == "structure":
        return {name: sound(shape.members[name]) for name in shape.required_members}
    if shape.type_name == "list":
        return [sound(shape.member)] * max(1, shape.metadata.get("min", 0))
    if shape.type_name == "map":
        return {sound(shape.key): sound(shape.value)}
    if shape.type_name in ("integer", "long", "double"):
        return shape.metadata.get("min", 1)
    if shape.type_name == "boolean":
        return False
    if shape.type_name == "timestamp":
        return 0
    if shape.type_name == "blob":
        return b"{}"
    known = next((text for text in (*(shape.enum or ()), *SOUND) if is_sound(shape, text)), None)
    assert known is not None, f"SOUND has no text for {shape.name}"
    return known


def broken(shape):
    """Values that break constraints: a few words about each, and the value."""
    makers = {"structure": of_structure, "list": of_list, "map": of_map, "string": of_text}
    maker = makers.get(shape.type_name, of_number if shape.type_name in ("integer", "long", "double") else None)
    return maker(shape) if maker else ()


def of_structure(shape):
    """Every value with one bad member, then with two and with three."""
    whole = sound(shape)
    first = {}
    for name, member in shape.members.items():
        if name in shape.required_members:
            yield f"no {name}", {key: value for key, value in whole.items() if key != name}
        for words, value in broken(member) if (shape.name, name) not in JUDGED_LATER else ():
            first.setdefault(name, value)
            yield f"{name}: {words}", whole | {name: value}
    names = list(first)
    middle = names[len(names) // 2 :][:1]
    for bad in [*itertools.pairwise(names), (*names[:1], *middle, *names[-1:])]:
        if len(set(bad)) > 1:
            yield " and ".join(bad), whole | {name: first[name] for name in bad}


def of_list(shape):
    least, most = shape.metadata.get("min", 0), shape.metadata.get("max")
    if least > 0:
        yield "too few", [sound(shape.member)] * (least - 1)
    if most is not None:
        yield "too many", [sound(shape.member)] * (most + 1)
    for words, value in broken(shape.member):
        yield f"an item, {words}", [value]
        if most is None or most > 1:
            yield f"the second item, {words}", [sound(shape.member), value]
    if getattr(shape.member, "enum", None):
        yield "an item, null", [None]


def of_map(shape):
    if shape.metadata.get("min", 0) > 0:
        yield "too few", {}
    for words, key in broken(shape.key):
        yield f"a key, {words}", {key: sound(shape.value)}
    for words, value in broken(shape.value):
        yield f"a value, {words}", {sound(shape.key): value}


def of_number(shape):
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is not None and least > SMALLEST:
        yield "too small", least - 1
    if most is not None and most < LARGEST:
        yield "too large", most + 1


def of_text(shape):
    text = sound(shape)
    least, most = shape.metadata.get("min", 0), shape.metadata.get("max")
    if least > 0:
        yield "too short", text[: least - 1]
    if most is not None and most < LONGEST:
        yield "too long", longer(shape, text, most + 1)
    if "pattern" in shape.metadata:
        unlike = [bad for bad in BROKEN if not is_sound(shape, bad)]
        unlike.sort(key=lambda bad: sum(not constraint.holds(bad) for constraint in constraints(shape)))
        yield from (("unlike the pattern", bad) for bad in unlike[:1])
    if shape.enum:
        yield "not in the set", NOT_IN_ANY_SET


def longer(shape, text, length):
    """`text` made longer, in the way that breaks the fewest other constraints."""
    ways = (text.ljust(length, "x"), text.ljust(length, "1"), text.rjust(length, "x"), text.ljust(length, text[:1]))
    return min(ways, key=lambda way: sum(not constraint.holds(way) for constraint in constraints(shape)))
