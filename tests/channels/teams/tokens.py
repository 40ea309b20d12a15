"""Microsoft's `botframework-connector` and Countersign agree on which tokens an activity may come with. Where they do
not, Countersign is the stricter one, and the row says so."""

import asyncio
import base64
import hashlib
import hmac
import json
import sys
import time
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))
sys.path.insert(0, str(Path(__file__).parent))

from botframework.connector.auth import AuthenticationConfiguration, ChannelValidation, SimpleCredentialProvider
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from house import House, Tally
from playground import APP, ISSUER, SECRET, TENANT, Authority, Gate, Key, activity, b64, request
from setup import config

OTHER = "00000000-0000-4000-8000-000000000000"


def main():
    tally, authority = Tally(), Authority()
    gate = Gate(authority)
    stranger, unendorsed, silent, second = Key(), Key(endorsements=["webchat"]), Key(endorsements=[]), Key()
    authority.keys += [unendorsed, silent, second]
    ChannelValidation.open_id_metadata_endpoint = authority.metadata_url
    credentials = SimpleCredentialProvider(APP, SECRET)
    service = gate.url

    def oracle(header, sent):
        check = ChannelValidation.authenticate_channel_token_with_service_url(
            header, credentials, sent["serviceUrl"], sent["channelId"], AuthenticationConfiguration())
        try:
            return asyncio.run(check).is_authenticated
        except Exception:  # whatever it raises, it takes no such token
            return False

    now = int(time.time())
    good = lambda **changes: authority.token(service, **changes)
    raw = lambda header, claims, signature=b"": f"{b64(json.dumps(header).encode())}.{b64(json.dumps(claims).encode())}.{b64(signature)}"
    claims = authority.claims(service)

    def signed(algorithm, digest):
        head = {"alg": algorithm, "typ": "JWT", "kid": authority.key.kid}
        body = f"{b64(json.dumps(head).encode())}.{b64(json.dumps(claims).encode())}"
        return f"{body}.{b64(authority.key.private.sign(body.encode(), padding.PKCS1v15(), digest))}"

    def with_public_key_as_secret():
        pem = authority.key.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        body = f"{b64(json.dumps({'alg': 'HS256', 'kid': authority.key.kid}).encode())}.{b64(json.dumps(claims).encode())}"
        return f"{body}.{b64(hmac.new(pem, body.encode(), hashlib.sha256).digest())}"

    def altered(part):
        parts = good().split(".")
        flipped = bytearray(base64.urlsafe_b64decode(parts[part] + "=="))
        flipped[len(flipped) // 2] ^= 1
        parts[part] = b64(bytes(flipped))
        return ".".join(parts)

    bearer = lambda token: f"Bearer {token}"
    same, stricter = "same", "stricter"
    rows = [
        ("a good token", bearer(good()), {}, same),
        ("a good token of a second key", bearer(second.sign(claims)), {}, same),
        ("a token without a beginning", bearer(good(nbf=None)), {}, same),
        ("over, within the skew", bearer(good(exp=now - 200)), {}, same),
        ("over by more than the skew", bearer(good(exp=now - 400)), {}, same),
        ("over long ago", bearer(good(exp=now - 86_400, nbf=now - 90_000)), {}, same),
        ("not yet good, within the skew", bearer(good(nbf=now + 200)), {}, same),
        ("not yet good", bearer(good(nbf=now + 900)), {}, same),
        ("no end", bearer(good(exp=None)), {}, stricter),
        ("good for a week", bearer(good(exp=now + 7 * 86_400)), {}, stricter),
        ("an end that is no number", bearer(good(exp="tomorrow")), {}, same),
        ("another audience", bearer(good(aud=OTHER)), {}, same),
        ("no audience", bearer(good(aud=None)), {}, same),
        ("an empty audience", bearer(good(aud="")), {}, same),
        ("another issuer", bearer(good(iss="https://evil.example")), {}, same),
        ("no issuer", bearer(good(iss=None)), {}, same),
        ("the issuer with a slash", bearer(good(iss=f"{ISSUER}/")), {}, same),
        ("the tenant as issuer", bearer(good(iss=f"https://sts.windows.net/{TENANT}/")), {}, same),
        ("another service URL in the token", bearer(good(serviceurl="https://smba.trafficmanager.net/teams/")), {}, same),
        ("no service URL in the token", bearer(good(serviceurl=None)), {}, same),
        ("another service URL in the activity", bearer(good()), {"serviceUrl": "https://evil.example/"}, same),
        ("the service URL with a slash", bearer(good()), {"serviceUrl": service + "/"}, same),
        ("another channel in the activity", bearer(good()), {"channelId": "skype"}, same),
        ("a key that may not speak for Teams", bearer(unendorsed.sign(claims)), {}, same),
        ("a key that says nothing of channels", bearer(silent.sign(claims)), {}, stricter),
        ("signed by a stranger", bearer(stranger.sign(claims)), {}, same),
        ("signed by a stranger under our key's name", bearer(stranger.sign(claims, {"kid": authority.key.kid})), {}, same),
        ("no key named", bearer(authority.key.sign(claims, {"kid": None})), {}, same),
        ("claims altered", bearer(altered(1)), {}, same),
        ("signature altered", bearer(altered(2)), {}, same),
        ("no signature", bearer(raw({"alg": "RS256", "kid": authority.key.kid}, claims)), {}, same),
        ("alg none", bearer(raw({"alg": "none", "kid": authority.key.kid}, claims)), {}, same),
        ("the public key as a secret", bearer(with_public_key_as_secret()), {}, same),
        ("RS384", bearer(signed("RS384", hashes.SHA384())), {}, same),
        ("RS512", bearer(signed("RS512", hashes.SHA512())), {}, same),
        ("not a token", bearer("abc"), {}, same),
        ("an access token of our own", bearer(f"access-{uuid.uuid4().hex}"), {}, same),
        ("another scheme", f"Basic {good()}", {}, same),
        ("a scheme alone", "Bearer", {}, same),
        ("two tokens", bearer(f"{good()} {good()}"), {}, same),
        ("no header", "", {}, same),
    ]
    with House(config(authority, gate)) as house:
        for name, header, changes, expected in rows:
            sent = activity(service, **{"type": "typing", **changes})

            def work():
                headers = {"Authorization": header} if header else {}
                status, _, body = request("POST", f"{house.url}/channels/teams/messages", sent, headers)
                ours, theirs = status == 200, oracle(header, sent)
                assert status in (200, 401), f"{status} {body}"
                if expected == same:
                    assert ours == theirs, f"ours: {ours}, theirs: {theirs}: {body}"
                else:
                    assert not ours and theirs, f"ours: {ours}, theirs: {theirs}"

            tally.check(name if expected == same else f"{name} (stricter)", work)
        taken = [name for name, header, changes, _ in rows if oracle(header, activity(service, **{"type": "typing", **changes}))]

        def some_of_each():
            assert 5 <= len(taken) <= len(rows) - 20, taken

        tally.check("the table has good and bad tokens", some_of_each)
    tally.close()


if __name__ == "__main__":
    main()
