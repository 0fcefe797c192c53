"""A client of Cloud EKM's wrap and unwrap, written from STET's public protos (confidential_wrap.proto: WrapRequest, UnwrapRequest, RequestContext), proto3's
JSON mapping and Google's documentation alone, with the standard library: it plays Cloud KMS.

Reads one JSON object from stdin: url (of the key, without the method), other (another key's), revoked, missing, rsa, ca, and tokens by what is right or
wrong with them. Prints `ok NAME` for each thing that it has checked, and ends with an error at the first that is wrong.
"""
import base64
import http.client
import json
import os
import ssl
import sys
import urllib.parse

GIVEN = json.load(sys.stdin)
KEY = "projects/acme-prod/locations/europe-west3/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1"
REASONS = (
    "REASON_UNSPECIFIED", "CUSTOMER_INITIATED_SUPPORT", "GOOGLE_INITIATED_SERVICE", "THIRD_PARTY_DATA_REQUEST", "GOOGLE_INITIATED_REVIEW",
    "CUSTOMER_INITIATED_ACCESS", "GOOGLE_INITIATED_SYSTEM_OPERATION", "REASON_NOT_EXPECTED", "MODIFIED_CUSTOMER_INITIATED_ACCESS",
)
CODES = {
    "INVALID_ARGUMENT": 400, "FAILED_PRECONDITION": 400, "UNAUTHENTICATED": 401, "NOT_FOUND": 404, "UNIMPLEMENTED": 501,
}
LOCATION = urllib.parse.urlsplit(GIVEN["url"])
CONNECTION = http.client.HTTPSConnection(LOCATION.hostname, LOCATION.port, context=ssl.create_default_context(cafile=GIVEN["ca"]), timeout=10)


def ok(name):
    print(f"ok {name}")


def b64(data):
    return base64.b64encode(data).decode()


def proto_json(message):
    """Fields whose value is the default are left out, as every writer of proto3's JSON does."""
    if isinstance(message, dict):
        return {name: value for name, value in ((name, proto_json(value)) for name, value in message.items()) if value not in ("", 0, False, {}, None)}
    return b64(message) if isinstance(message, bytes) else message


def call(url, message, token="good", method="POST"):
    body = message if isinstance(message, bytes) else json.dumps(proto_json(message), indent=1)
    headers = {"Content-Type": "application/json"}
    if token is not None:
        headers["Authorization"] = f"Bearer {GIVEN['tokens'][token]}"
    CONNECTION.request(method, urllib.parse.urlsplit(url).path, body, headers)
    answer = CONNECTION.getresponse()
    text = answer.read()
    assert answer.getheader("Content-Type") == "application/json", answer.getheader("Content-Type")
    return answer.status, json.loads(text), answer


def request(**more):
    return {"key_path": "", "keyUriPrefix": "", "additionalContext": {"fullResourceName": f"//cloudkms.googleapis.com/{KEY}", "relativeResourceName": KEY}, **more}


def wrap(plaintext, url=None, **more):
    status, body, _ = call((url or GIVEN["url"]) + ":wrap", request(plaintext=plaintext, **more))
    assert status == 200, (status, body)
    assert list(body) == ["wrappedBlob"], body
    blob = base64.b64decode(body["wrappedBlob"], validate=True)
    assert b64(blob) == body["wrappedBlob"]
    return blob


def unwrap(blob, url=None, **more):
    status, body, _ = call((url or GIVEN["url"]) + ":unwrap", request(wrappedBlob=blob, **more))
    assert status == 200, (status, body)
    assert list(body) == ["plaintext"], f"nothing that lets Google keep it: {body}"
    return base64.b64decode(body["plaintext"], validate=True)


def fails(name, url, message, token="good", method="POST"):
    status, body, answer = call(url, message, token, method)
    error = body.get("error", {})
    assert (error.get("status"), error.get("code"), status) == (name, CODES[name], CODES[name]), (name, status, body)
    assert list(body) == ["error"] and sorted(error) == ["code", "message", "status"] and error["message"], body
    return answer


def main():
    url = GIVEN["url"]
    for length in (1, 16, 32, 33, 1000, 65536):
        plaintext = os.urandom(length)
        blob = wrap(plaintext)
        assert unwrap(blob) == plaintext and plaintext not in blob
        assert wrap(plaintext) != blob
    ok("wrap and unwrap")
    aad = os.urandom(40)
    blob = wrap(b"key", additionalAuthenticatedData=aad)
    assert unwrap(blob, additionalAuthenticatedData=aad) == b"key"
    for other in (b"", aad[:-1], aad + b"\0"):
        fails("INVALID_ARGUMENT", url + ":unwrap", request(wrappedBlob=blob, additionalAuthenticatedData=other))
    ok("additional authenticated data")
    blob = wrap(b"key")
    for at in range(len(blob)):
        fails("INVALID_ARGUMENT", url + ":unwrap", request(wrappedBlob=blob[:at] + bytes([blob[at] ^ 0x80]) + blob[at + 1:]))
    for bad in (blob[:-1], blob + b"\0", blob[:10]):
        fails("INVALID_ARGUMENT", url + ":unwrap", request(wrappedBlob=bad))
    fails("INVALID_ARGUMENT", GIVEN["other"] + ":unwrap", request(wrappedBlob=blob))
    ok("ciphertexts that are none")
    for number, reason in enumerate(REASONS):
        for sent in (number, reason):
            context = {"fullResourceName": KEY, "accessReasonContext": {"reason": sent}, "isKeyHealthCheck": number % 2 == 1}
            assert unwrap(wrap(b"key", additionalContext=context), additionalContext=context) == b"key"
    for sent in (12, "OF_A_LATER_YEAR"):
        assert wrap(b"key", additionalContext={"accessReasonContext": {"reason": sent}})
    fails("INVALID_ARGUMENT", url + ":wrap", {"plaintext": b"key", "additionalContext": {"accessReasonContext": {"reason": [1]}}})
    ok("access reasons")
    body = {"plaintext": b64(b"key"), "additional_context": {"relative_resource_name": KEY, "access_reason_context": {"reason": 5}}, "additional_authenticated_data": None}
    assert call(url + ":wrap", json.dumps(body).encode())[0] == 200
    ok("proto names and null")
    for token in GIVEN["tokens"]:
        if token != "good":
            answer = fails("UNAUTHENTICATED", url + ":wrap", request(plaintext=b"key"), token)
            assert answer.getheader("WWW-Authenticate") == "Bearer"
    fails("UNAUTHENTICATED", url + ":wrap", request(plaintext=b"key"), None)
    ok("tokens")
    for method in ("wrap", "unwrap"):
        message = request(plaintext=b"key", wrappedBlob=blob)
        fails("NOT_FOUND", f"{GIVEN['missing']}:{method}", message)
        fails("FAILED_PRECONDITION", f"{GIVEN['revoked']}:{method}", message)
        fails("FAILED_PRECONDITION", f"{GIVEN['rsa']}:{method}", message)
    for bad in (b"", b"{", b"[]", b"\xff", b'{"plaintext":"AAE"}', b'{"plaintext":1}', b'{"plaintext":"_-8="}', b"{}"):
        fails("INVALID_ARGUMENT", url + ":wrap", bad)
    for method in ("asymmetricSign", "getPublicKey", "confidentialwrap", "confidentialunwrap"):
        fails("UNIMPLEMENTED", f"{url}:{method}", {})
    fails("NOT_FOUND", url, {})
    fails("NOT_FOUND", url + ":wrap", b"", method="GET")
    ok("errors")


main()
