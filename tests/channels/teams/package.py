"""The app package that `countersign teams manifest` writes, before Microsoft's own schema."""

import io
import json
import struct
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path[:0] = [str(ROOT / "tests/support"), str(HERE)]
from house import House, Tally  # noqa: E402
from jsonschema import Draft7Validator, FormatChecker  # noqa: E402
from playground import APP, Authority, Gate  # noqa: E402
from setup import config  # noqa: E402

SCHEMAS = ROOT / ".tools/node/node_modules/@microsoft/app-manifest/build/json-schemas/teams"
URL = "https://gate.acme.example"


def main():
    tally = Tally()
    authority = Authority()
    house = House(config(authority, Gate(authority)))
    folder = Path(tempfile.mkdtemp(prefix="countersign-teams-"))

    def package(*more):
        out = folder / "app.zip"
        done = house.run("teams", "manifest", "--out", str(out), "--public-url", URL, *more)
        assert done.returncode == 0, done.stderr
        assert f"{URL}/channels/teams/messages" in done.stdout, done.stdout
        return zipfile.ZipFile(io.BytesIO(out.read_bytes()))

    def schema(manifest):
        found = json.loads((SCHEMAS / f"v{manifest['manifestVersion']}" / "MicrosoftTeams.schema.json").read_text())
        return [error.message for error in Draft7Validator(found, format_checker=FormatChecker()).iter_errors(manifest)]

    def valid():
        manifest = json.loads(package().read("manifest.json"))
        assert schema(manifest) == []
        assert manifest["bots"][0]["botId"] == APP == manifest["id"]
        assert manifest["validDomains"] == ["gate.acme.example"]
        del manifest["accentColor"]
        assert schema(manifest), "a schema that takes anything proves nothing"

    def icons():
        archive = package()
        for name, side in (("color.png", 192), ("outline.png", 32)):
            data = archive.read(name)
            assert data[:8] == b"\x89PNG\r\n\x1a\n" and struct.unpack(">II", data[16:24]) == (side, side), name
        assert sorted(archive.namelist()) == ["color.png", "manifest.json", "outline.png"]
        assert archive.testzip() is None

    def another_bot():
        other = "00000000-0000-4000-8000-000000000009"
        assert json.loads(package("--app", other).read("manifest.json"))["id"] == other

    def not_without_tls():
        done = house.run("teams", "manifest", "--out", str(folder / "none.zip"))
        assert done.returncode != 0 and "https://" in done.stderr, done.stderr
        assert not (folder / "none.zip").exists()

    tally.check("the manifest is valid by Microsoft's schema", valid)
    tally.check("the icons are PNGs of the sizes that Teams wants", icons)
    tally.check("another bot's id can be named", another_bot)
    tally.check("there is no package for an address without TLS", not_without_tls)
    tally.close()


if __name__ == "__main__":
    main()
