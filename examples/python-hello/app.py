"""Greets whoever the event names, and says whether this environment is warm."""

import os

calls = 0


def handler(event, context):
    global calls
    calls += 1
    name = event.get("name", "world")
    print(f"greeting {name}, call {calls} of this environment")
    return {
        "message": f"Hello, {name}!",
        "call": calls,
        "function": context.function_name,
        "region": os.environ["AWS_REGION"],
    }
