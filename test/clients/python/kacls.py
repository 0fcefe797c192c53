"""
A client of Google Workspace client-side encryption, written from Google's reference alone, with nothing but the standard library; OpenSSL does RSA.
Given as JSON: url (of the service), ca, tokens (by name), privateKey and publicKey (PEM files), spki (base64 SHA-256).
"""
import base64
import hashlib
import hmac
import json
import os
import ssl
import subprocess
import sys
import urllib.error
import urllib.request

given = json.load(sys.stdin)
context = ssl.create_default_context(cafile=given["ca"])
tokens = given["tokens"]


def ask(method, body=None, verb="POST"):
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(given["url"] + "/" + method, data=data, method=verb, headers=headers)
    try:
        with urllib.request.urlopen(request, context=context) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def check(name, condition, *shown):
    if not condition:
        sys.exit("not ok %s: %r" % (name, shown))
    print("ok", name)


def refused(name, answer, status):
    code, body = answer
    members = code == status and body["code"] == status and isinstance(body["message"], str) and isinstance(body["details"], str)
    check("%d %s" % (status, name), members and sorted(body) == ["code", "details", "message"], code, body)


def openssl(*arguments, given_input=b""):
    return subprocess.run(("openssl",) + arguments, input=given_input, capture_output=True, check=True).stdout


def b64(data):
    return base64.b64encode(data).decode()


status, body = ask("status", verb="GET")
check("status", status == 200 and body["server_type"] == "KACLS" and body["vendor_id"] and body["version"], body)
methods = "status certs wrap unwrap privilegedwrap privilegedunwrap digest rewrap delegate wrapprivatekey privatekeysign privatekeydecrypt privilegedprivatekeydecrypt"
check("operations_supported", sorted(body["operations_supported"]) == sorted(methods.split()), body)
status, body = ask("certs", verb="GET")
check("certs is a JWK set", status == 200 and [key["kty"] for key in body["keys"]] == ["RSA"], body)

reason = json.dumps({"client": "drive", "op": "update"})
user = {"authentication": tokens["user"], "reason": reason}


def granted(role, **more):
    return dict(user, authorization=tokens[role], **more)


dek = os.urandom(32)
status, body = ask("wrap", granted("writer", key=b64(dek)))
check("wrap", status == 200 and list(body) == ["wrapped_key"], status, body)
wrapped = body["wrapped_key"]
check("wrapped_key is base64 of at most 1 KB, and not the key", len(wrapped) <= 1024 and dek not in base64.b64decode(wrapped, validate=True))
status, body = ask("wrap", granted("writer", key=b64(dek)))
check("each time another", body["wrapped_key"] != wrapped)
for role in ("reader", "writer"):
    check("unwrap by a " + role, ask("unwrap", granted(role, wrapped_key=wrapped)) == (200, {"key": b64(dek)}))
status, body = ask("wrap", granted("upgrader", key=b64(os.urandom(128))))
check("128 bytes by an upgrader", status == 200 and len(body["wrapped_key"]) <= 1024, status, body)

refused("a reader does not wrap", ask("wrap", granted("reader", key=b64(dek))), 403)
refused("tokens of two people", ask("unwrap", dict(granted("reader", wrapped_key=wrapped), authentication=tokens["other"])), 403)
refused("a token for another service", ask("unwrap", granted("elsewhere", wrapped_key=wrapped)), 403)
refused("a guest", ask("unwrap", granted("guest", wrapped_key=wrapped)), 403)
refused("another resource", ask("unwrap", granted("document2", wrapped_key=wrapped)), 400)
refused("another perimeter", ask("unwrap", granted("perimeter2", wrapped_key=wrapped)), 403)
refused("no authorization", ask("unwrap", dict(user, wrapped_key=wrapped)), 401)
for name in ("expired", "audience", "forged"):
    refused("authorization: " + name, ask("unwrap", granted(name, wrapped_key=wrapped)), 401)
refused("authentication: expired", ask("unwrap", dict(granted("reader", wrapped_key=wrapped), authentication=tokens["userExpired"])), 401)
refused("a key of 129 bytes", ask("wrap", granted("writer", key=b64(os.urandom(129)))), 400)
refused("no base64", ask("wrap", granted("writer", key="not base64")), 400)
refused("a reason of 2 KB", ask("wrap", dict(granted("writer", key=b64(dek)), reason="r" * 2048)), 400)
refused("what is no wrapped key", ask("unwrap", granted("reader", wrapped_key=b64(os.urandom(80)))), 400)
refused("GET", ask("wrap", verb="GET"), 405)
refused("no such method", ask("nothing", {}), 404)

words = "ResourceKeyDigest:%s:%s" % (given["resource"], given["perimeter"])
expected = b64(hmac.new(dek, words.encode(), hashlib.sha256).digest())
verifier = {"authorization": tokens["verifier"], "reason": reason, "wrapped_key": wrapped}
check("digest", ask("digest", verifier) == (200, {"resource_key_hash": expected}))
refused("a digest by a reader", ask("digest", dict(verifier, authorization=tokens["reader"])), 403)

admin = {"authentication": tokens["admin"], "reason": reason}
exported = dict(admin, resource_name=given["resource"], wrapped_key=wrapped)
check("privilegedunwrap", ask("privilegedunwrap", exported) == (200, {"key": b64(dek)}))
refused("privilegedunwrap by somebody else", ask("privilegedunwrap", dict(exported, authentication=tokens["user"])), 403)
refused("privilegedunwrap of another resource", ask("privilegedunwrap", dict(exported, resource_name="document-2")), 400)
imported = dict(admin, key=b64(dek), resource_name=given["resource"], perimeter_id=given["perimeter"])
status, body = ask("privilegedwrap", imported)
check("privilegedwrap, and unwrap", ask("unwrap", granted("reader", wrapped_key=body["wrapped_key"])) == (200, {"key": b64(dek)}))

status, body = ask("delegate", granted("delegator"))
check("delegate", status == 200 and list(body) == ["delegated_authentication"], status, body)
delegated = body["delegated_authentication"]
part = delegated.split(".")[1]
claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
check("its claims", claims["delegated_to"] == given["delegate"] and claims["resource_name"] == given["resource"] and claims["exp"] - claims["iat"] == 900, claims)
by_delegate = {"authentication": delegated, "authorization": tokens["delegator"], "reason": reason, "wrapped_key": wrapped}
check("unwrap by the delegate", ask("unwrap", by_delegate) == (200, {"key": b64(dek)}))
refused("the delegate as the user", ask("unwrap", dict(by_delegate, authorization=tokens["reader"])), 403)

with open(given["privateKey"]) as file:
    pem = file.read()
status, body = ask("wrapprivatekey", dict(admin, private_key=pem, perimeter_id=given["perimeter"]))
check("wrapprivatekey", status == 200 and len(body["wrapped_private_key"]) <= 8192, status, body)
private = body["wrapped_private_key"]
message = b"the signed attributes of a message"
for size in (256, 384, 512):
    digest = hashlib.new("sha%d" % size, message).digest()
    signed = granted("signer", algorithm="SHA%dwithRSA" % size, digest=b64(digest), wrapped_private_key=private)
    status, body = ask("privatekeysign", signed)
    with open(given["scratch"], "wb") as file:
        file.write(base64.b64decode(body["signature"], validate=True))
    shown = openssl("dgst", "-sha%d" % size, "-verify", given["publicKey"], "-signature", given["scratch"], given_input=message)
    check("privatekeysign with SHA-%d verifies" % size, shown.strip() == b"Verified OK", status, body, shown)
refused("a signature by a decrypter", ask("privatekeysign", dict(signed, authorization=tokens["decrypter"])), 403)
refused("a token for another key", ask("privatekeysign", dict(signed, authorization=tokens["otherKey"])), 403)
refused("an algorithm that nobody knows", ask("privatekeysign", dict(signed, algorithm="MD5withRSA")), 400)

paddings = {"RSA/ECB/PKCS1Padding": ["rsa_padding_mode:pkcs1"]}
for name in ("1", "256", "512"):
    mode = ["rsa_padding_mode:oaep", "rsa_oaep_md:sha" + name, "rsa_mgf1_md:sha" + name]
    paddings["RSA/ECB/OAEPwithSHA-%sandMGF1Padding" % name] = mode
for algorithm, mode in paddings.items():
    options = [word for option in mode for word in ("-pkeyopt", option)]
    encrypted = openssl("pkeyutl", "-encrypt", "-pubin", "-inkey", given["publicKey"], *options, given_input=dek)
    asked = granted("decrypter", algorithm=algorithm, encrypted_data_encryption_key=b64(encrypted), wrapped_private_key=private)
    check("privatekeydecrypt " + algorithm, ask("privatekeydecrypt", asked) == (200, {"data_encryption_key": b64(dek)}))
    exported = dict(admin, algorithm=algorithm, encrypted_data_encryption_key=b64(encrypted), wrapped_private_key=private)
    exported.update(spki_hash=given["spki"], spki_hash_algorithm="SHA-256")
    check("privileged " + algorithm, ask("privilegedprivatekeydecrypt", exported) == (200, {"data_encryption_key": b64(dek)}))
refused("what does not decrypt", ask("privatekeydecrypt", dict(asked, encrypted_data_encryption_key=b64(os.urandom(256)))), 400)
refused("privileged by somebody else", ask("privilegedprivatekeydecrypt", dict(exported, authentication=tokens["user"])), 403)

moved = {"authorization": tokens["migrator"], "reason": reason, "wrapped_key": wrapped}
refused("rewrap from a service that is not named", ask("rewrap", dict(moved, original_kacls_url="https://127.0.0.1:1/v1")), 403)
