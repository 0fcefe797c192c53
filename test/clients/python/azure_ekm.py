"""A client of the EKM proxy API 0.1-preview, written from Microsoft's page of that name alone, with the standard library: it plays Managed HSM.

Reads one JSON object from stdin: host, port, caFile, prefix, client, stranger (certificateFile and keyFile of each; stranger: null for none), keys (names
by what they are), kek (hex, of the key `rfc`). Prints `ok N` and the slowest call, or the first thing that is not as the page says, and exits 1.
`openssl` is the second opinion on every algorithm.
"""
import base64
import http.client
import json
import os
import re
import ssl
import subprocess
import sys
import tempfile
import time
import uuid

GIVEN = json.load(sys.stdin)
VERSION = "0.1-preview"
checks, slowest = 0, 0.0


def check(condition, what):
    global checks
    checks += 1
    if not condition:
        print(f"not as documented: {what}")
        sys.exit(1)


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text):
    check(isinstance(text, str) and re.fullmatch(r"[A-Za-z0-9_-]+", text), "raw base64url without padding")
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    check(encode(data) == text, "canonical base64url")
    return data


def context(certificate, version=ssl.TLSVersion.TLSv1_3):
    made = ssl.create_default_context(cafile=GIVEN["caFile"])
    made.minimum_version = made.maximum_version = version
    if certificate:
        made.load_cert_chain(certificate["certificateFile"], certificate["keyFile"])
    return made


def connect(certificate, **more):
    return http.client.HTTPSConnection(GIVEN["host"], GIVEN["port"], context=context(certificate, **more), timeout=10)


def request_context():
    return {"request_id": str(uuid.uuid4()), "correlation_id": str(uuid.uuid1()), "pool_name": "mhsm-pool-name"}


class Pool:
    """One kept-alive connection of one Managed HSM pool."""

    def __init__(self, certificate):
        self.connection = connect(certificate)

    def raw(self, path, body, query=f"?api-version={VERSION}", method="POST"):
        global slowest
        begun = time.monotonic()
        self.connection.request(method, path + query, body, {"Content-Type": "application/json"})
        answer = self.connection.getresponse()
        text = answer.read()
        slowest = max(slowest, time.monotonic() - begun)
        check((answer.getheader("Content-Type") or "").split(";")[0] == "application/json", f"{path}: content type")
        return answer.status, json.loads(text), answer

    def post(self, path, **members):
        return self.raw(GIVEN["prefix"] + path, json.dumps({"request_context": request_context(), **members}))

    def ok(self, path, **members):
        status, body, _ = self.post(path, **members)
        check(status == 200, f"{path}: {status} {body}")
        return body

    def fails(self, expected, path, **members):
        self.failed(expected, path, self.post(path, **members))

    def failed(self, expected, path, answer):
        status, body, _ = answer
        check(status == expected, f"{path}: {status} instead of {expected}: {body}")
        check(sorted(body) == ["code", "message"] and all(isinstance(each, str) and each for each in body.values()),
              f"{path}: a ProxyError")

    def wrap(self, key, alg, value):
        body = self.ok(f"/{key}/wrapkey", alg=alg, value=encode(value))
        check(sorted(body) == ["value"], "WrapKeyOperationResult")
        return decode(body["value"])

    def unwrap(self, key, alg, value):
        body = self.ok(f"/{key}/unwrapkey", alg=alg, value=encode(value))
        check(sorted(body) == ["value"], "UnwrapKeyOperationResult")
        return decode(body["value"])


def openssl(*args, data=b""):
    return subprocess.run(["openssl", *args], input=data, check=True, capture_output=True).stdout


def transport(pool):
    pool.connection.connect()
    check(pool.connection.sock.version() == "TLSv1.3", "TLS 1.3")
    check(pool.connection.sock.cipher()[0] in ("TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256"), "a documented suite")
    for why, certificate, version in (
        ("no client certificate", None, ssl.TLSVersion.TLSv1_3),
        ("TLS 1.2", GIVEN["client"], ssl.TLSVersion.TLSv1_2),
    ):
        connection = connect(certificate, version=version)
        try:
            connection.request("POST", f"{GIVEN['prefix']}/info?api-version={VERSION}", "{}")
            status = connection.getresponse().status
        except (ssl.SSLError, OSError, http.client.HTTPException):
            status = None
        check(status is None, f"{why}: no HTTP, got {status}")
    # A session that is resumed is still that of this client ("TLS session-cache misses" of the troubleshooting page).
    once = context(GIVEN["client"])
    session = None
    for expected in (False, True):
        made = http.client.HTTPSConnection(GIVEN["host"], GIVEN["port"], context=once, timeout=10)
        made.connect()
        made.sock.close()
        plain = http.client.HTTPConnection(GIVEN["host"], GIVEN["port"], timeout=10)
        plain.connect()
        secured = once.wrap_socket(plain.sock, server_hostname=GIVEN["host"], session=session)
        check(secured.session_reused == expected, "TLS sessions can be resumed")
        plain.sock = secured
        body = json.dumps({"request_context": request_context()})
        plain.request("POST", f"{GIVEN['prefix']}/info?api-version={VERSION}", body)
        answer = plain.getresponse()
        check(answer.status == 200, f"resumed: {answer.status} {answer.read()}")
        answer.read()
        session = secured.session
        plain.close()


def info(pool):
    body = pool.ok("/info")
    check(sorted(body) == ["api_version", "ekm_product", "ekm_vendor", "proxy_name", "proxy_vendor"], "ProxyInfo")
    check(all(isinstance(each, str) and each for each in body.values()), "ProxyInfo: strings")
    check(body["api_version"] == VERSION, "the highest version")


def aes(pool):
    keys = GIVEN["keys"]
    check(pool.ok(f"/{keys['aes']}/metadata") == {"key_type": "oct", "key_size": 256, "key_ops": ["wrapKey", "unwrapKey"]},
          "KeyMetadata of AES")
    # RFC 3394 section 4.6.
    data = bytes.fromhex("00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F")
    wrapped = bytes.fromhex("28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21")
    kek = "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F"
    check(GIVEN["kek"].upper() == kek, "the key of the RFC")
    check(pool.wrap(keys["rfc"], "A256KW", data) == wrapped, "RFC 3394 section 4.6")
    check(pool.unwrap(keys["rfc"], "A256KW", wrapped) == data, "RFC 3394 section 4.6, unwrapped")
    for alg, cipher, iv, lengths in (
        ("A256KW", "-id-aes256-wrap", "A6A6A6A6A6A6A6A6", (16, 24, 32, 64, 1024, 4096)),
        ("A256KWP", "-id-aes256-wrap-pad", "A65959A6", (1, 7, 8, 9, 16, 20, 31, 32, 33, 1217, 4096)),
    ):
        for length in lengths:
            value = os.urandom(length)
            theirs = openssl("enc", cipher, "-K", kek, "-iv", iv, data=value)
            check(pool.wrap(keys["rfc"], alg, value) == theirs, f"{alg} of {length} bytes is what openssl makes")
            check(pool.unwrap(keys["rfc"], alg, theirs) == value, f"{alg} of {length} bytes opens")
            check(pool.wrap(keys["aes"], alg, value) != theirs, "another key, another result")
    for alg, length in (("A256KW", 8), ("A256KW", 15), ("A256KW", 17), ("A256KW", 33)):
        pool.fails(400, f"/{keys['aes']}/wrapkey", alg=alg, value=encode(bytes(length)))
    for alg in ("A256KW", "A256KWP"):
        good = pool.wrap(keys["aes"], alg, data)
        for bad in (good[:-8], good[:-1], good + bytes(8), good[8:] + good[:8], bytes([good[0] ^ 1]) + good[1:], bytes(8)):
            pool.fails(400, f"/{keys['aes']}/unwrapkey", alg=alg, value=encode(bad))
        pool.fails(400, f"/{keys['rfc']}/unwrapkey", alg=alg, value=encode(good))


def der(tag, *parts):
    body = b"".join(parts)
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big") if len(body) > 127 else b""
    return bytes([tag, 0x80 | len(length) if length else len(body)]) + length + body


def spki(n, e):
    integers = [der(2, b"\0" + each if each[0] & 0x80 else each) for each in (n, e)]
    algorithm = der(0x30, bytes.fromhex("06092A864886F70D0101010500"))
    return der(0x30, algorithm, der(3, b"\0", der(0x30, *integers)))


def rsa(pool, bits):
    key = GIVEN["keys"][f"rsa{bits}"]
    body = pool.ok(f"/{key}/metadata")
    check(sorted(body) == ["e", "key_ops", "key_size", "key_type", "n"], "KeyMetadata of RSA")
    check((body["key_type"], body["key_size"], body["key_ops"]) == ("RSA", bits, ["wrapKey", "unwrapKey"]), "its values")
    n, e = decode(body["n"]), decode(body["e"])
    check(len(n) == bits // 8 and n[0] & 0x80 and n[-1] & 1, "the modulus: unsigned big-endian")
    check(body["e"] == "AQAB", "65537 is AQAB")
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "key.der")
        with open(file, "wb") as out:
            out.write(spki(n, e))
        for alg, digest, size in (("RSA-OAEP", "sha1", 20), ("RSA-OAEP-256", "sha256", 32)):
            limit = bits // 8 - 2 * size - 2
            options = [each for option in (
                "rsa_padding_mode:oaep", f"rsa_oaep_md:{digest}", f"rsa_mgf1_md:{digest}") for each in ("-pkeyopt", option)]
            for length in (1, 16, 32, limit):
                value = os.urandom(length)
                theirs = openssl("pkeyutl", "-encrypt", "-pubin", "-inkey", file, "-keyform", "DER", *options, data=value)
                check(pool.unwrap(key, alg, theirs) == value, f"{alg}: opens what openssl encrypts")
                ours = pool.wrap(key, alg, value)
                check(len(ours) == bits // 8, f"{alg}: as long as the modulus")
                check(pool.unwrap(key, alg, ours) == value, f"{alg}: there and back")
                check(pool.wrap(key, alg, value) != ours, f"{alg}: randomised")
            pool.fails(400, f"/{key}/wrapkey", alg=alg, value=encode(bytes(limit + 1)))
            other = "RSA-OAEP" if alg == "RSA-OAEP-256" else "RSA-OAEP-256"
            for bad in (ours[:-1], ours + b"\0", bytes(bits // 8), b"\xff" * (bits // 8)):
                pool.fails(400, f"/{key}/unwrapkey", alg=alg, value=encode(bad))
            pool.fails(400, f"/{key}/unwrapkey", alg=other, value=encode(ours))
        for alg in ("A256KW", "A256KWP"):
            pool.fails(400, f"/{key}/wrapkey", alg=alg, value=encode(bytes(32)))
    for alg in ("RSA-OAEP", "RSA-OAEP-256"):
        pool.fails(400, f"/{GIVEN['keys']['aes']}/wrapkey", alg=alg, value=encode(bytes(32)))


def errors(pool):
    keys, prefix = GIVEN["keys"], GIVEN["prefix"]
    wrapkey = f"/{keys['aes']}/wrapkey"
    good = {"request_context": request_context(), "alg": "A256KW", "value": encode(bytes(32))}
    for why, change in (
        ("no context", {"request_context": None}),
        ("an empty context", {"request_context": {}}),
        ("no correlation id", {"request_context": {"pool_name": "p"}}),
        ("no pool name", {"request_context": {"correlation_id": "c"}}),
        ("no algorithm", {"alg": None}),
        ("an algorithm of elsewhere", {"alg": "A128KW"}),
        ("RSA1_5", {"alg": "RSA1_5"}),
        ("no value", {"value": None}),
        ("an empty value", {"value": ""}),
        ("a padded value", {"value": encode(bytes(32)) + "="}),
        ("a value of the other alphabet", {"value": "+/+/" * 8}),
        ("a value that is not canonical", {"value": encode(bytes(31)) + "B" + "="}),
        ("a value that is a number", {"value": 1}),
        ("a value longer than any key", {"value": encode(bytes(4097))}),
    ):
        body = {name: value for name, value in {**good, **change}.items() if value is not None}
        pool.failed(400, why, pool.raw(prefix + wrapkey, json.dumps(body)))
    for body in (b"", b"{", b"[]", b"null", b"\xff{}", b'{"request_context": NaN}'):
        pool.failed(400, repr(body), pool.raw(prefix + wrapkey, body))
    check(pool.raw(prefix + wrapkey, json.dumps({**good, "later": {"deep": [1]}}))[0] == 200, "unknown members are passed over")
    for query in ("", "?api-version=", "?api-version=1.0", f"?api-version={VERSION}&api-version=1.0"):
        pool.failed(400, query, pool.raw(prefix + "/info", json.dumps(good), query))
    for operation in ("metadata", "wrapkey", "unwrapkey"):
        more = {"alg": "A256KW", "value": encode(bytes(32))}
        pool.fails(404, f"/no-such-key/{operation}", **more)
        pool.fails(404, f"/{keys['aes'].upper()}/{operation}", **more)
        pool.fails(403, f"/{keys['revoked']}/{operation}", **more)
    pool.fails(403, f"/{keys['wrapOnly']}/unwrapkey", alg="A256KW", value=encode(bytes(40)))
    pool.fails(403, f"/{keys['unwrapOnly']}/wrapkey", alg="A256KW", value=encode(bytes(32)))
    for path in ("/", wrapkey + "/", "/encrypt", f"/{keys['aes']}/encrypt", f"/{keys['aes']}/WrapKey", f"/{'k' * 65}/metadata"):
        pool.fails(404, path)
    status, _, answer = pool.raw(prefix + wrapkey, None, method="GET")
    check(status == 405 and answer.getheader("Allow") == "POST", "every operation is a POST")
    # A whole body beyond every limit; the connection ends after it.
    status, body, _ = pool.raw(prefix + wrapkey, b"x" * 20000)
    check(status == 400 and sorted(body) == ["code", "message"], "too large")


def strangers():
    stranger = Pool(GIVEN["stranger"])
    seen = set()
    for path in ("/info", f"/{GIVEN['keys']['aes']}/metadata", "/no-such-key/metadata", f"/{GIVEN['keys']['aes']}/wrapkey"):
        answer = stranger.post(path, alg="A256KW", value=encode(bytes(32)))
        stranger.failed(401, path, answer)
        seen.add(json.dumps(answer[1]))
    other = stranger.raw("/no-such-prefix/info", json.dumps({"request_context": request_context()}))
    stranger.failed(401, "no such prefix", other)
    seen.add(json.dumps(other[1]))
    check(len(seen) == 1, "a stranger learns nothing of what there is")


def main():
    pool = Pool(GIVEN["client"])
    transport(pool)
    info(pool)
    aes(pool)
    for bits in (2048, 3072, 4096):
        rsa(pool, bits)
    errors(pool)
    strangers()
    print(f"ok {checks} slowest {slowest * 1000:.0f} ms")


main()
