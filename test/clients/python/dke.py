"""
A client of double key encryption, written from Microsoft's description and sample service, with nothing but the standard library; OpenSSL encrypts.
Given as JSON: url (of the key), ca, audience, signIn, tokens (good, other, and each wrong one by its name), plaintext (base64).
"""
import base64
import json
import re
import ssl
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

given = json.load(sys.stdin)
context = ssl.create_default_context(cafile=given["ca"])


def ask(url, method="GET", token=None, body=None):
    headers = {"Content-Type": "application/json"}
    if token is not None:
        headers["Authorization"] = "Bearer " + token
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, context=context) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


def check(name, condition, *shown):
    if not condition:
        sys.exit("not ok %s: %r" % (name, shown))
    print("ok", name)


def der(tag, content):
    length = len(content)
    if length < 128:
        head = bytes([length])
    else:
        octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
        head = bytes([0x80 | len(octets)]) + octets
    return bytes([tag]) + head + content


def integer(number):
    return der(2, number.to_bytes(number.bit_length() // 8 + 1, "big"))


status, headers, text = ask(given["url"])
check("the public key is anyone's", status == 200 and "application/json" in headers["Content-Type"], status, headers, text)
key = json.loads(text)["key"]
check("its members", sorted(key) == ["alg", "e", "kid", "kty", "n"] and key["kty"] == "RSA" and key["alg"] == "RS256", key)
check("the exponent is a number", key["e"] == 65537, key["e"])
modulus = base64.b64decode(key["n"], validate=True)
check("2048 bits in standard base64", len(modulus) == 256 and base64.b64encode(modulus).decode() == key["n"], len(modulus))
guid = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
check("the key id is the url and a GUID", re.fullmatch(re.escape(given["url"]) + "/" + guid, key["kid"]), key["kid"])
exp = json.loads(text)["cache"]["exp"]
check("cache.exp is a time of this form", re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", exp), exp)

rsa = der(0x30, integer(int.from_bytes(modulus, "big")) + integer(key["e"]))
encryption = bytes.fromhex("300d06092a864886f70d0101010500")
with tempfile.NamedTemporaryFile(suffix=".der") as file:
    file.write(der(0x30, encryption + der(3, b"\0" + rsa)))
    file.flush()

    def encrypt(plaintext, digest):
        options = ["rsa_padding_mode:oaep", "rsa_oaep_md:" + digest, "rsa_mgf1_md:" + digest]
        command = ["openssl", "pkeyutl", "-encrypt", "-pubin", "-keyform", "DER", "-inkey", file.name]
        for option in options:
            command += ["-pkeyopt", option]
        return base64.b64encode(subprocess.run(command, input=plaintext, capture_output=True, check=True).stdout).decode()

    plaintext = base64.b64decode(given["plaintext"])
    value = encrypt(plaintext, "sha256")
    by_sha1 = encrypt(plaintext, "sha1")

url = key["kid"] + "/decrypt"
good = given["tokens"]["good"]
body = {"alg": "RSA-OAEP-256", "value": value}

status, headers, text = ask(url, "POST", good, body)
check("decrypts", status == 200 and json.loads(text) == {"value": given["plaintext"]}, status, text)
status, _, text = ask(key["kid"] + "/Decrypt", "POST", good, dict(body, more={"unknown": 1}))
check("in any case, and with members that it does not know", status == 200 and json.loads(text)["value"] == given["plaintext"], status, text)

challenge = 'Bearer resource="%s", authorization="%s", realm="%s"' % (given["audience"], given["signIn"], given["audience"])
for name in [None] + sorted(name for name in given["tokens"] if name not in ("good", "other")):
    status, headers, text = ask(url, "POST", given["tokens"].get(name), body)
    check("401 with where to sign in: token %s" % (name or "missing"), status == 401 and headers["WWW-Authenticate"] == challenge, status, headers, text)
status, headers, text = ask(url, "POST", given["tokens"]["other"], body)
check("403 for somebody else", status == 403 and json.loads(text)["code"] == "Forbidden", status, text)

wrong = {
    "another algorithm": dict(body, alg="RSA-OAEP"),
    "no algorithm": {"value": value},
    "no value": {"alg": "RSA-OAEP-256"},
    "url-safe base64": dict(body, value=value.replace("+", "-").replace("/", "_").rstrip("=")),
    "a value of another hash": dict(body, value=by_sha1),
    "a value of another length": dict(body, value=base64.b64encode(b"short").decode()),
    "a list": [body],
    "no JSON": b"{",
}
for name, sent in wrong.items():
    status, _, text = ask(url, "POST", good, sent)
    check("400 for " + name, status == 400 and json.loads(text)["code"] == "InvalidRequest", status, text)
status, _, text = ask(given["url"] + "/00000000-0000-0000-0000-000000000001/decrypt", "POST", good, body)
check("400 for a version of another key", status == 400 and json.loads(text)["code"] == "KeyNotFound", status, text)
status, _, text = ask(given["url"] + "-missing")
check("400 for a key that is not there", status == 400 and json.loads(text)["code"] == "KeyNotFound", status, text)
status, headers, text = ask(url, "GET", good)
check("405 for another method", status == 405 and headers["Allow"] == "POST", status, headers)
status, _, text = ask(given["url"].rsplit("/", 2)[0] + "/nobody/key")
check("404 for another path", status == 404, status, text)
status, _, text = ask(url, "POST", good, b" " * 9000)
check("400 for more than any request needs", status == 400, status, text)
