"""What Slack checks of Block Kit, said by Slack's own `slack_sdk.models`, and by its documents where the models are silent."""

import copy
import logging

from slack_sdk.errors import SlackObjectFormationError
from slack_sdk.models.basic_objects import JsonObject
from slack_sdk.models.blocks import Block
from slack_sdk.models.views import View

MESSAGE_BLOCKS, VIEW_BLOCKS = 50, 100
FIELD_TEXT, CONTEXT_TEXT = 2000, 2000
MESSAGE_ALLOWS = {"header", "section", "context", "divider", "actions", "image", "rich_text", "markdown"}
VIEW_ALLOWS = (MESSAGE_ALLOWS - {"markdown"}) | {"input"}

logging.getLogger("slack_sdk.models").setLevel(logging.ERROR)


def checked_blocks(found, limit=MESSAGE_BLOCKS, allows=frozenset(MESSAGE_ALLOWS)):
    """The blocks as Slack keeps them, with an id each, and what is wrong with them."""
    if not isinstance(found, list) or not all(isinstance(block, dict) for block in found):
        return None, ["blocks must be a list of objects [json-pointer:/blocks]"]
    found, errors, ids = copy.deepcopy(found), [], set()
    if not 1 <= len(found) <= limit:
        errors.append(f"no more than {limit} items allowed [json-pointer:/blocks]")
    for at, block in enumerate(found):
        where = f"[json-pointer:/blocks/{at}]"
        if block.get("type") not in allows:
            errors.append(f"unsupported type: {block.get('type')} {where}")
            continue
        errors += [f"{error} {where}" for error in _faults(block)]
        block.setdefault("block_id", f"blk{at}")
        if block["block_id"] in ids:
            errors.append(f"block_id `{block['block_id']}` already exists {where}")
        ids.add(block["block_id"])
    return found, errors


def checked_view(view, kind):
    if not isinstance(view, dict) or view.get("type") != kind:
        return None, [f"a view of type {kind} is expected [json-pointer:/view/type]"]
    blocks, errors = checked_blocks(view.get("blocks"), VIEW_BLOCKS, frozenset(VIEW_ALLOWS))
    try:
        View(**view).validate_json()
    except (SlackObjectFormationError, TypeError, ValueError) as error:
        errors = [*errors, f"{error} [json-pointer:/view]"]
    if kind == "modal" and not view.get("title"):
        errors.append("missing required field: title [json-pointer:/view]")
    has_input = any(block.get("type") == "input" for block in blocks or [])
    if kind == "modal" and has_input and not view.get("submit"):
        errors.append("missing required field: submit [json-pointer:/view]")
    return {**view, "blocks": blocks}, errors


def _faults(block):
    """Everything wrong with one block; the models stop at the first."""
    errors = []
    try:
        parsed = Block.parse(block)
        _validate(parsed)
        lost = _lost(block, parsed.to_dict())
        errors += [f"invalid additional property: {name}" for name in lost]
    except (SlackObjectFormationError, TypeError, ValueError, KeyError) as error:
        errors.append(str(error))
    errors += _texts(block) + _plain(block)
    actions = [element.get("action_id") for element in block.get("elements", []) if "action_id" in element]
    if len(set(actions)) != len(actions):
        errors.append("action_id already exists")
    return errors


def _plain(value):
    """Places that take plain text only: headers, buttons, labels, and the titles of dialogs and views."""
    if isinstance(value, list):
        return [error for item in value for error in _plain(item)]
    if not isinstance(value, dict):
        return []
    places = {"header": ("text",), "button": ("text",), "input": ("label", "hint")}.get(value.get("type"), ())
    places += ("title", "confirm", "deny", "placeholder", "submit", "close")
    wrong = [name for name in places if isinstance(value.get(name), dict) and value[name].get("type") == "mrkdwn"]
    return [f"must be plain_text: {name}" for name in wrong] + [e for inner in value.values() for e in _plain(inner)]


def _validate(value):
    """Runs the validators of a model and of every model within."""
    if isinstance(value, JsonObject):
        value.validate_json()
        for inner in vars(value).values():
            _validate(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            _validate(inner)


def _lost(given, kept):
    """Properties of the outermost object that the model does not know."""
    empty = (None, [], {}, "")
    return [name for name in given if name not in kept and given[name] not in empty]


def _texts(value, inside=None):
    """Texts that are empty or of no known kind, and limits of which the models say nothing."""
    if isinstance(value, list):
        return [error for item in value for error in _texts(item, inside)]
    if not isinstance(value, dict):
        return []
    errors = []
    if value.get("type") in ("plain_text", "mrkdwn"):
        text = value.get("text")
        if not isinstance(text, str) or not text:
            errors.append("must be more than 0 characters")
        elif inside in ("fields", "elements") and len(text) > FIELD_TEXT:
            errors.append(f"must be less than {FIELD_TEXT + 1} characters")
        if value["type"] == "plain_text" and "verbatim" in value:
            errors.append("invalid additional property: verbatim")
    for name, inner in value.items():
        errors += _texts(inner, name if isinstance(inner, (list, dict)) else inside)
    return errors
