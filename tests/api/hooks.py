"""What schemathesis does to each call of ours before it is sent. It says nothing about what may be answered."""

import random

import schemathesis

# The longest that `seconds` of the long-poll may be: with it every answer would take most of a minute.
WAIT_LIMIT = 55


def written_as_integers(value):
    """The same value. JSON Schema takes `1.0` for an integer; the API's strict reader does not, and says so."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [written_as_integers(item) for item in value]
    if isinstance(value, dict):
        return {name: written_as_integers(item) for name, item in value.items()}
    return value


@schemathesis.hook
def before_call(context, case, kwargs):
    # Each call comes from somewhere else, through the proxy that this test is: from one place it would soon be told to
    # wait (429), and nothing behind that would be tested. The limit has tests of its own.
    somewhere = ".".join(["10", *(str(random.randrange(256)) for _ in range(3))])
    case.headers["X-Forwarded-For"] = somewhere
    if isinstance(case.body, (dict, list)):
        case.body = written_as_integers(case.body)
    if case.operation.definition.raw.get("operationId") == "waitForApproval":
        # A good wait is a short one; what is not good stays as it is.
        seconds = case.query.get("seconds", WAIT_LIMIT)
        if isinstance(seconds, int) and not isinstance(seconds, bool) and 0 < seconds <= WAIT_LIMIT:
            case.query["seconds"] = 1
