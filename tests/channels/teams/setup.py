"""The gateway's side of a test: its configuration, and people whose accounts are linked."""

import json
import tempfile
from pathlib import Path

from playground import APP, SECRET, TENANT


def config(authority, gate, routes=""):
    """`[channels.teams]` for the stand-ins of `playground.py`; nothing of it turns a check off."""
    secret = Path(tempfile.mkdtemp(prefix="countersign-teams-")) / "secret"
    secret.write_text(SECRET)
    return (
        f'[channels.teams]\napp = "{APP}"\ntenant = "{TENANT}"\nsecret = {{ file = {json.dumps(str(secret))} }}\n'
        f'metadata_url = "{authority.metadata_url}"\ntoken_url = "{authority.token_url}"\n'
        f'service_url = "{gate.url}"\nservice_hosts = ["{gate.host}"]\n{routes}'
    )
