"""Holdfast's formats in plain Python, made from docs/formats and nothing else, for check-vectors.py."""
import hashlib
import hmac
import re
import zlib

from plain_crypto import seal, unseal

# --- docs/formats/README.md

H = bytes.fromhex


def sha256(data):
    return hashlib.sha256(data).digest()


def mac(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


def u(size, number):
    return number.to_bytes(size, "big")


def u8(n): return u(1, n)
def u16(n): return u(2, n)
def u32(n): return u(4, n)
def u64(n): return u(8, n)
def short(data): return u16(len(data)) + data
def long(data): return u32(len(data)) + data
def string(text): return short(text.encode())


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def raw(self, size):
        if size > len(self.data) - self.at:
            raise ValueError("cut short")
        self.at += size
        return self.data[self.at - size:self.at]

    def number(self, size):
        return int.from_bytes(self.raw(size), "big")

    def short(self):
        return self.raw(self.number(2))

    def string(self):
        return self.short().decode("utf-8", "strict")

    def end(self):
        if self.at != len(self.data):
            raise ValueError("bytes behind the end")


def kdf(key, label, context, bits):
    block = lambda i: mac(key, u32(i) + label.encode() + b"\0" + context + u32(bits))
    return b"".join(block(i + 1) for i in range(bits // 256))


def box(purpose_key, generation, nonce, aad, clear):
    head = u8(1) + u32(generation) + nonce
    return head + seal(kdf(purpose_key, "holdfast box 1", nonce, 256), bytes(12), head + aad, clear)


class Boundary:
    def __init__(self, given):
        self.id = H(given["boundaryId"])
        self.roots = {int(generation): H(root) for generation, root in given["roots"].items()}
        self.current = max(self.roots)

    def key(self, purpose, generation=None):
        return kdf(self.roots[generation or self.current], f"holdfast {purpose} 1", self.id, 256)

    def box(self, purpose, nonce, aad, clear):
        return box(self.key(purpose), self.current, H(nonce), aad, clear)


# --- The other documents


def session_body(v):
    tags = sorted(v["tags"], key=lambda tag: tag["key"].encode())
    return (u8(1) + u8({"role": 1, "principal": 2}[v["kind"]]) + string(v["accessKeyId"]) + string(v["secretAccessKey"]) + string(v["principal"])
            + string(v["uniqueId"]) + string(v["sessionName"]) + string(v["accessKey"]) + u64(v["begun"]) + string(v["sourceIdentity"])
            + u16(len(tags)) + b"".join(string(tag["key"]) + string(tag["value"]) + u8(tag["transitive"]) for tag in tags)
            + long(v["policy"].encode()))


def context(pairs):
    ordered = sorted((name.encode(), value.encode()) for name, value in pairs)
    return u16(len(ordered)) + b"".join(short(name) + short(value) for name, value in ordered)


def read_context(data):
    reader = Reader(data)
    pairs = [(reader.string(), reader.string()) for _ in range(reader.number(2))]
    reader.end()
    if sum(len(text.encode()) for pair in pairs for text in pair) > 8192:
        raise ValueError("too large")
    if len({name for name, _ in pairs}) < len(pairs) or context(pairs) != data:
        raise ValueError("not canonical")
    return pairs


def key_id(text):
    return u8(1) + H(text[4:]) if text.startswith("mrk-") else u8(0) + H(text.replace("-", ""))


def bound(version, purpose, v):
    return sha256(u8(version) + string(v["account"]) + short(key_id(v["keyId"])) + short(H(v["materialId"]))
                  + string(purpose) + long(context(v["pairs"])))


def message(v, nonce, iv):
    digest = bound(1, "message", v)
    derived = kdf(H(v["material"]), "holdfast message 1", nonce + digest, 512)
    head = u8(1) + key_id(v["keyId"]) + H(v["materialId"]) + nonce + iv + derived[32:]
    return head + seal(derived[:32], iv, digest, H(v["plaintext"]))


def open_message(v, data):
    if not 127 <= len(data) <= 4222 or data[:50] != u8(1) + key_id(v["keyId"]) + H(v["materialId"]):
        raise ValueError("of another key")
    digest = bound(1, "message", v)
    derived = kdf(H(v["material"]), "holdfast message 1", data[50:66] + digest, 512)
    if derived[32:] != data[78:110]:
        raise ValueError("the commitment does not fit")
    return unseal(derived[:32], data[66:78], digest, data[110:])


def external_aad(aad, metadata):
    return short(aad) + u8(len(metadata)) + metadata


STATES = ["", "Enabled", "Disabled", "PendingImport", "PendingDeletion", "Revoked", "Creating", "Updating", "PendingReplicaDeletion"]
SPECS = ["", "SYMMETRIC_DEFAULT", "EXTERNAL_AES_256", "RSA_2048", "RSA_3072", "RSA_4096", "ECC_NIST_P256"]
USAGES = ["", "ENCRYPT_DECRYPT", "SIGN_VERIFY", "GENERATE_VERIFY_MAC", "KEY_AGREEMENT", "ENCAPSULATE_DECAPSULATE"]
KINDS = {"key": 1, "policy": 2, "attributes": 3, "alias": 4, "keystore": 5, "keystore-credential": 6, "account": 16, "principal": 17,
         "credential": 18, "grant": 7, "group": 19, "tenant": 32, "switch": 33, "counter": 34, "clock": 35}


def code(words):
    return lambda word: u8(words.index(word))


HEADER = [
    ("id", string), ("account", string), ("revision", u64), ("rootGeneration", u32), ("fence", u64), ("createdAt", u64),
    ("spec", code(SPECS)), ("usage", code(USAGES)),
    ("origin", code(["", "AWS_KMS", "EXTERNAL", "EXTERNAL_KEY_STORE", "OWNER"])), ("manager", code(["", "CUSTOMER", "AWS"])),
    ("managerService", string), ("state", code(STATES)), ("previousState", code(STATES)), ("deletionDate", u64),
    ("pendingWindowDays", u32), ("policyDigest", H), ("rotationEnabled", u8), ("rotationPeriodDays", u32), ("nextRotationAt", u64),
    ("onDemandRotations", u32), ("keyStoreId", string), ("xksKeyId", string), ("backing", code(["", "SEALED", "TOKEN"])),
    ("tokenObject", string), ("mayEncrypt", u8), ("mayDecrypt", u8),
]
MATERIAL = [
    ("id", string), ("state", code(["", "CURRENT", "NON_CURRENT", "PENDING_ROTATION"])), ("present", u8), ("createdAt", u64),
    ("expirationModel", code(["NONE", "KEY_MATERIAL_EXPIRES", "KEY_MATERIAL_DOES_NOT_EXPIRE"])), ("validTo", u64),
    ("description", string), ("rotationType", code(["NONE", "AUTOMATIC", "ON_DEMAND"])), ("rotatedAt", u64),
]


def fields(table, values):
    return b"".join(encode(values[name]) for name, encode in table)


def sealed_key(boundary, v):
    header, materials = v["header"], v["header"]["materials"]
    plain = header["spec"] in SPECS[1:3] and header["multiRegion"] == "NONE"
    version = u8(1 if plain else 2)
    head = version + fields(HEADER, header)
    if not plain:
        regions = header["replicaRegions"]
        head += (long(H(header["publicKey"])) + u8(["NONE", "PRIMARY", "REPLICA"].index(header["multiRegion"]))
                 + string(header["primaryRegion"]) + u16(len(regions)) + b"".join(map(string, regions)))
    head += u16(len(materials)) + b"".join(fields(MATERIAL, one) for one in materials)
    inside = [] if header["backing"] == "TOKEN" else [H(v["materials"][one["id"]]) for one in materials if one["present"]]
    clear = b"".join(one if plain else short(one) for one in inside)
    return version + long(head) + boundary.box("seal", v["nonce"], head, clear)


def untagged(row):
    body = row["body"]
    return (u8(1) + u8(KINDS[row["kind"]]) + string(row["id"]) + string(row["scope"]) + string(row["link"]) + u64(row["revision"])
            + (u8(0) if body is None else u8(1) + long(H(body))))


def grant_token(row_id, secret, salt):
    """grants.md: what stands in base64 in a grant token."""
    return u8(1) + salt + mac(secret, b"holdfast grant token" + u8(1) + salt + row_id.encode()) + row_id.encode()


def read_row(data):
    reader = Reader(data)
    if reader.number(1) != 1 or reader.number(1) not in KINDS.values():
        raise ValueError("of another version or kind")
    if not 1 <= len(reader.string().encode()) <= 512:
        raise ValueError("an id of impossible length")
    reader.string(), reader.string(), reader.raw(8)
    present = reader.number(1)
    if present > 1:
        raise ValueError("no boolean")
    if present:
        reader.raw(reader.number(4))
    reader.raw(32)
    reader.end()


# By code, from 1: name, and the most bytes of its text.
ASSERTED = [("operation", 64), ("requestId", 128), ("account", 64), ("principal", 2048), ("accessKeyId", 128), ("sourceIp", 64), ("region", 32),
            ("viaService", 256), ("userAgent", 256), ("peer", 256), ("claimedPrincipal", 2048), ("claimedKeyArn", 2048), ("claimedOperation", 256),
            ("claimedRequestId", 128), ("reason", 256), ("subject", 512), ("claimedSourceVpc", 128), ("claimedSourceVpce", 128), ("grantId", 64),
            ("attestedModule", 768), ("attestedRegisters", 4608)]
ASSERTED_CODES = {name: at + 1 for at, (name, _) in enumerate(ASSERTED)}
OPERATIONS = {"decrypt": 2, "reEncrypt": 3, "deleteKey": 50, "start": 64, "putKeyPolicy": 21}
text = str.encode


def changes(value):
    return u16(len(value)) + b"".join(u8(KINDS[one["kind"]]) + string(one["id"]) + u64(one["revision"]) for one in value)


OWN = {
    "boundaryOperation": (64, lambda word: u8(OPERATIONS[word])), "source": (65, code(["", "use", "control", "boundary"])),
    "outcome": (66, code(["", "allowed", "denied", "failed"])), "error": (67, text), "keyId": (68, text), "keyRevision": (69, u64),
    "materialId": (70, text), "destinationKeyId": (71, text), "destinationKeyRevision": (72, u64), "destinationMaterialId": (73, text),
    "context": (74, H), "destinationContext": (75, H), "aadDigest": (76, H), "size": (77, u64), "count": (78, u64),
    "transition": (79, text), "policyDigest": (80, H), "wrappingKeyDigest": (81, H), "lifecycleTime": (82, u64), "changes": (83, changes),
    "algorithm": (84, text), "peerKeyDigest": (85, H), "recipientDigest": (86, H),
}
CODED = {64: 68, 65: 3, 66: 3}
STRINGS = set(ASSERTED_CODES.values()) | {67, 68, 70, 71, 73, 79, 84}


def record(given):
    parts = [(ASSERTED_CODES[name], text(value)) for name, value in given["asserted"].items()]
    parts += [(OWN[name][0], OWN[name][1](value)) for name, value in given.items() if name != "asserted"]
    return u8(0x20) + b"".join(u8(number) + short(value) for number, value in sorted(parts))


def read_record(data):
    reader, last = Reader(data), 0
    if reader.number(1) != 0x20:
        raise ValueError("of another version")
    known = STRINGS | {number for number, _ in OWN.values()}
    while reader.at < len(data):
        number, value = reader.number(1), reader.short()
        if number <= last or number not in known:
            raise ValueError("out of order or unknown")
        if number in CODED and not (len(value) == 1 and 1 <= value[0] <= CODED[number]):
            raise ValueError("an unknown code")
        if number in STRINGS and not value.decode("utf-8", "strict"):
            raise ValueError("an empty string")
        if number <= len(ASSERTED) and len(value) > ASSERTED[number - 1][1]:
            raise ValueError("longer than its field")
        last = number


def root_file(v, wrapping):
    purposes = Boundary({"boundaryId": v["boundaryId"], "roots": {str(one["generation"]): one["root"] for one in v["generations"]}})
    wrapped = lambda one: H(one["iv"]) + seal(wrapping, H(one["iv"]), b"holdfast wrapped root 1", H(one["root"]))
    data = (b"HOLDROOT" + u16(2) + H(v["boundaryId"]) + u8(["kms", "ekm"].index(v["service"])) + u8(v["dev"]) + u64(v["created"])
            + u8(["keyfile", "passphrase", "pkcs11", "shares"].index(v["kind"])) + short(b"") + u16(len(v["generations"])))
    for one in v["generations"]:
        data += u32(one["generation"]) + u64(one["created"]) + u64(one["firstRecord"]) + u64(one["firstWriteSet"]) + short(wrapped(one))
    base = v["base"]
    data += u32(v["destroyed"]) + u64(v["destroyedAt"]) + u64(v["wholeAt"]) + u64(base["seq"]) + u64(base["writeSet"]) + H(base["root"])
    data += H(v["logPublicKey"]) + short(purposes.box("log-key", v["logNonce"], b"holdfast log key", H(v["logSeed"])))
    return data + mac(purposes.key("root-file"), data)


def segment(boundary, v):
    head = (b"HOLDFJNL" + u16(1) + u16(108) + boundary.id + H(v["salt"]) + u64(v["firstSeq"]) + u64(v["nextWriteSet"])
            + u64(v["lastTime"]) + u32(v["lastCrc"]) + H(v["root"]))
    return head + u32(zlib.crc32(head))


def frame(boundary, v, previous, seed):
    """Salt and nonce are random: they are taken from the frame, everything else is made."""
    given, record_bytes, inside = H(v["frame"]), H(v["record"]), b""
    if v["writeSet"]:
        number = u64(v["writeSet"]["number"])
        nonce = given[60 + len(record_bytes) + 8:][:12]
        aad = boundary.id + u64(v["seq"]) + number
        inside = number + nonce + seal(boundary.key("write-set"), nonce, aad, H(v["writeSet"]["rows"]))
    data = (b"HFR1" + u32(64 + len(record_bytes) + len(inside)) + u32(previous) + u64(v["batch"]) + u32(len(record_bytes))
            + u32(len(inside)) + u64(v["seq"]) + u64(v["time"]) + given[44:60] + record_bytes + inside)
    return data + u32(zlib.crc32(data, seed))


def place(v):
    return u64(v["size"]) + u64(v["lastTime"]) + u64(v["lastWriteSet"]) + u64(v["segment"]) + u64(v["offset"]) + u32(v["crc"]) + H(v["root"])


PARTS = {"journal": 1, "checkpoint": 2, "tile": 3, "snapshot": 4, "rows": 5, "configuration": 6}


def backup(v):
    h, end = v["header"], v["end"]
    header = u8(["full", "increment"].index(h["kind"])) + u32(h["number"]) + H(h["boundaryId"]) + u8(["kms", "ekm"].index(h["service"]))
    header += u8(h["dev"]) + string(h["origin"]) + H(h["logPublicKey"]) + u64(h["createdAt"]) + H(h["previous"]) + place(h["from"])
    made = b"HOLDBACK" + u16(1) + long(header)
    for part in v["parts"]:
        made += u8(PARTS[part["kind"]]) + string(part["name"]) + b"".join(long(H(piece)) for piece in part["pieces"]) + u32(0)
    return made + u8(0) + u64(end["until"]) + u32(end["parts"]) + place(end["to"])


def archive_index(v):
    begins = v["begins"]
    lines = ["holdfast-log-archive-1", f"boundary {v['boundaryId']}", f"key {v['vkey']}",
             f"begins {begins['seq']} {begins['writeSet']} {begins['root']}"]
    lines += [f"segment {s['first']} {s['entries']} {s['bytes']} {s['lastTime']} {s['sha256']} {s['root']}" for s in v["segments"]]
    return "".join(line + "\n" for line in lines).encode("ascii")


def read_index(data):
    """How many entries each segment has."""
    number, digest = b"(?:0|[1-9][0-9]*)", b"[0-9a-f]{64}"
    head = b"holdfast-log-archive-1\nboundary [0-9a-f]{32}\nkey [^ \r\n]+\nbegins (%s) %s %s\n" % (number, number, digest)
    line = b"segment (%s) (%s) %s %s %s %s\n" % (number, number, number, number, digest, digest)
    found = re.fullmatch(head + b"(?:%s)*" % re.sub(rb"\((?!\?)", b"(?:", line), data)
    if not found:
        raise ValueError("no index")
    following, entries = int(found[1]), []
    for first, count in re.findall(line, data):
        if int(first) != following or int(count) == 0:
            raise ValueError("segments that do not follow each other")
        following += int(count)
        entries.append(int(count))
    return entries


def tlv(tag, *parts):
    """X.690 with a definite length."""
    contents = b"".join(parts)
    size = len(contents).to_bytes((len(contents).bit_length() + 7) // 8, "big")
    return bytes([tag]) + (u8(len(contents)) if len(contents) < 0x80 else u8(0x80 | len(size)) + size) + contents


def open_tlv(tag, *parts):
    """X.690 with an indefinite one."""
    return bytes([tag, 0x80]) + b"".join(parts) + b"\0\0"


def oid(text):
    first, second, *rest = map(int, text.split("."))
    data = bytes([40 * first + second])
    for number in rest:
        groups = [number & 0x7F]
        while number := number >> 7:
            groups.insert(0, 0x80 | number & 0x7F)
        data += bytes(groups)
    return tlv(6, data)


def for_recipient(public_key, encrypted_key, iv, content):
    sha_256 = tlv(0x30, oid("2.16.840.1.101.3.4.2.1"), tlv(5))
    mgf1 = tlv(0x30, oid("1.2.840.113549.1.1.8"), sha_256)
    oaep_parameters = tlv(0x30, tlv(0xA0, sha_256), tlv(0xA1, mgf1))
    recipient = tlv(0x30, tlv(2, u8(2)), tlv(0x80, sha256(public_key)),
                    tlv(0x30, oid("1.2.840.113549.1.1.7"), oaep_parameters), tlv(4, encrypted_key))
    encrypted = open_tlv(0x30, oid("1.2.840.113549.1.7.1"),
                         tlv(0x30, oid("2.16.840.1.101.3.4.1.42"), tlv(4, iv)), tlv(0x80, content))
    enveloped = open_tlv(0x30, tlv(2, u8(2)), tlv(0x31, recipient), encrypted)
    return open_tlv(0x30, oid("1.2.840.113549.1.7.3"), open_tlv(0xA0, enveloped))
