#!/usr/bin/env python3
"""Recomputes every test vector of Holdfast's formats from docs/formats alone.

Shares no code with Holdfast and needs nothing but Python: plain_formats.py holds the formats, plain_shares.py the shares,
plain_crypto.py AES-256-GCM, AES-256-CBC and RSA-OAEP. Exits 1 and names each vector that differs.
Usage: check-vectors.py [FOLDER]
It is written to be read, not to be fast or safe: never use it on a real secret.
"""
import base64
import json
import pathlib
import sys

sys.dont_write_bytecode = True
from plain_crypto import cbc, oaep, seal, wrap_padded, wrap_plain  # noqa: E402
from plain_formats import (  # noqa: E402
    archive_index, backup, bound, Boundary, context, external_aad, for_recipient, frame, grant_token, H, kdf, key_id, KINDS, long, mac, message, open_message,
    read_context, read_index, read_record, read_row, record, root_file, sealed_key, segment, session_body, sha256, short, SPECS, string, text, u16, u32, u64,
    u8, untagged,
)
from plain_shares import read_share, share_line, split_at  # noqa: E402

BESIDE = pathlib.Path(__file__).resolve().parent.parent / "test" / "vectors"
FOLDER = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else BESIDE

checked, wrong = 0, []


def same(where, made, given):
    global checked
    checked += 1
    if made != (H(given) if isinstance(given, str) else given):
        wrong.append(where)


def refuses(where, reader, data):
    global checked
    checked += 1
    try:
        reader(data)
    except (ValueError, UnicodeDecodeError):
        return
    wrong.append(f"{where}: taken, and should be refused")


def load(name):
    return json.loads((FOLDER / f"{name}.json").read_text("utf-8"))


def each(name, file, section="vectors"):
    return [(f"{name} {section}[{at}]", v) for at, v in enumerate(file[section])]


def check_context(file):
    for where, v in each("context", file):
        same(where, context(v["pairs"]), v["encoded"])
        same(where, read_context(H(v["encoded"])), sorted(map(tuple, v["pairs"]), key=lambda pair: pair[0].encode()))
    for where, v in each("context", file, "refused"):
        refuses(where, read_context, H(v["encoded"]))


def check_derivation(file):
    boundary = Boundary(file["boundary"])
    for where, v in each("derivation", file):
        same(where, kdf(H(v["key"]), v["label"], H(v["context"]), v["bits"]), v["output"])
    for where, v in each("derivation", file, "purposes"):
        same(where, boundary.key(v["purpose"], v["generation"]), v["key"])
    for where, v in each("derivation", file, "boxes"):
        same(where, boundary.box(v["purpose"], v["nonce"], H(v["aad"]), H(v["clear"])), v["box"])


def check_message(file):
    for where, v in each("message", file):
        same(where, bound(1, "message", v), v["digest"])
        same(where, message(v, H(v["nonce"]), H(v["iv"])), v["message"])
        same(where, open_message(v, H(v["message"])), v["plaintext"])
    for where, v in each("message", file, "refused"):
        refuses(where, lambda data: open_message(file["vectors"][1], data), H(v["message"]))


def check_envelope(file):
    for where, v in each("envelope", file):
        inner, metadata = H(v["inner"]), H(v["metadata"])
        same(where, bound(2, "envelope", v), v["aad"])
        same(where, open_message(v, inner), v["plaintext"])
        outer = seal(H(v["ownerKey"]), H(v["iv"]), external_aad(H(v["aad"]), metadata), inner)
        same(where, outer, v["ciphertext"] + v["tag"])
        iv = H(v["iv"])
        same(where, u8(2) + key_id(v["keyId"]) + H(v["materialId"]) + u8(len(iv)) + iv + outer[-16:] + u8(len(metadata)) + metadata
             + outer[:-16], v["envelope"])


def check_sealed_key(file):
    boundary = Boundary(file["boundary"])
    for where, v in each("sealed-key", file):
        same(where, sealed_key(boundary, v), v["sealed"])
    for where, v in each("sealed-key", file, "materialIds"):
        same(where, mac(H(v["material"]), b"holdfast material id 1\0" + text(v["keyId"])), v["id"])


def check_rows(file):
    boundary, encoded = Boundary(file["boundary"]), []
    for where, v in each("rows", file):
        plain = untagged(v["row"])
        encoded.append(plain + mac(boundary.key("row-tag"), plain))
        same(where, encoded[-1], v["encoded"])
        same(where, encoded[-1][-32:], v["row"]["tag"])
        same(where, sha256(encoded[-1]), v["digest"])
        read_row(encoded[-1])
    same("rows list", u8(1) + u32(len(encoded)) + b"".join(encoded), file["list"])
    for where, v in each("rows", file, "secrets"):
        aad = u8(KINDS[v["kind"]]) + string(v["id"]) + u64(v["revision"])
        same(where, boundary.box("secret", v["nonce"], aad, H(v["clear"])), v["body"])
    for where, v in each("rows", file, "refused"):
        refuses(where, read_row, H(v["encoded"]))


def check_record(file):
    for where, v in each("record", file):
        same(where, record(v["fields"]), v["encoded"])
        read_record(H(v["encoded"]))
    for where, v in each("record", file, "refused"):
        refuses(where, read_record, H(v["encoded"]))


def check_external(file):
    integrity = lambda v: sha256(b"".join(H(v[part]) for part in ("aad", "metadata", "iv", "ciphertext", "tag")))
    for where, v in each("external", file):
        metadata = u8(1) + u32(v["version"])
        same(where, metadata, v["metadata"])
        same(where, seal(H(v["key"]), H(v["iv"]), external_aad(H(v["aad"]), metadata), H(v["plaintext"])), v["ciphertext"] + v["tag"])
        same(where, integrity(v), v["integrityValue"])
    same("external specification", integrity(file["specification"]), file["specification"]["integrityValue"])
    for where, v in each("external", file, "wrapped"):
        if v["algorithm"].startswith("RSA"):
            same(where, oaep(H(v["key"]), v["algorithm"], H(v["wrapped"])), v["plaintext"])
        else:
            same(where, {"A256KW": wrap_plain, "A256KWP": wrap_padded}[v["algorithm"]](H(v["key"]), H(v["plaintext"])), v["wrapped"])
    for where, v in each("external", file, "xksProxy"):
        aad = u16(len(H(v["aad"]))) + sha256(H(v["aad"])) if "aad" in v else u16(0)
        metadata = H(v["metadata"])
        same(where, seal(H(v["key"]), H(v["iv"]), aad + u8(len(metadata)) + metadata, H(v["plaintext"])), v["ciphertext"] + v["tag"])


def check_grants(file):
    for where, v in each("grants", file):
        same(where, grant_token(v["rowId"], H(v["secret"]), H(v["salt"])), v["token"])


def check_import_token(file):
    boundary = Boundary(file["boundary"])
    algorithms = {"RSAES_OAEP_SHA_1": 1, "RSAES_OAEP_SHA_256": 2, "RSA_AES_KEY_WRAP_SHA_1": 3, "RSA_AES_KEY_WRAP_SHA_256": 4}
    for where, v in each("import-token", file):
        head = (u8(1) + boundary.id + sha256(text(v["keyId"])) + u8(SPECS.index(v["spec"])) + u8(algorithms[v["algorithm"]])
                + u16(v["modulusBits"]) + u64(v["validTo"]))
        same(where, head + boundary.box("import-token", v["nonce"], head, H(v["privateKey"])), v["token"])
        for algorithm, wrapped in v["wrapped"].items():
            private, data = H(v["privateKey"]), H(wrapped)
            if algorithm.startswith("RSAES"):
                same(where, oaep(private, algorithm, data), v["material"])
            else:
                size = v["modulusBits"] // 8
                key = oaep(private, algorithm, data[:size])
                same(where, wrap_padded(key, H(v["material"])), data[size:].hex())


def check_session_token(file):
    boundary = Boundary(file["boundary"])
    for where, v in each("session-token", file):
        body = session_body(v["session"])
        same(where, body, v["body"])
        head = u8(1) + boundary.id + u64(v["expiresAt"])
        same(where, head + boundary.box("session", v["nonce"], head, body), v["token"])


def check_recipient(file):
    for where, v in each("recipient", file):
        content_key = oaep(H(file["privateKey"]), "RSAES_OAEP_SHA_256", H(v["encryptedKey"]))
        content = cbc(content_key, H(v["iv"]), H(v["plaintext"]))
        same(where, for_recipient(H(file["publicKey"]), H(v["encryptedKey"]), H(v["iv"]), content), v["message"])


def check_root(file):
    label, encoded = file["keyFile"]["line"].rstrip("\n").split(" ")
    wrapping = base64.urlsafe_b64decode(encoded + "=")
    same("root keyFile", wrapping if label == "holdfast-root-1" else b"", file["keyFile"]["key"])
    for where, v in each("root", file):
        same(where, root_file(v, wrapping), v["file"])
    v = file["passphrase"]
    kit = file["kit"]
    same("root kit", b"HOLDKIT1" + long(H(kit["rootFile"])) + long(H(kit["checkpoint"])), kit["kit"])
    same("root passphrase", u8(1) + u32(v["memory"]) + u32(v["passes"]) + u8(v["parallelism"]) + short(H(v["salt"])), v["parameters"])
    same("root passphrase", H(v["iv"]) + seal(H(v["argon2id"]), H(v["iv"]), b"holdfast wrapped root 1", H(v["root"])), v["wrapped"])


def check_shares(file):
    for where, v in each("shares", file):
        places = [H(share["raw"])[-1] for share in v["shares"]]
        same(f"{where} places", len(set(places) - {0}), v["count"])
        for place, share in zip(places, v["shares"]):
            raw = split_at(H(v["key"]), H(v["coefficients"]), v["threshold"], place) + u8(place)
            same(where, raw, share["raw"])
            same(where, share_line(v, raw).encode(), share["line"].encode().hex())
            same(where, read_share(v, share["line"].encode()), share["raw"])
        same(where, u8(1) + u8(v["threshold"]) + u8(v["count"]) + H(v["setId"]), v["parameters"])
        same(where, H(v["iv"]) + seal(H(v["key"]), H(v["iv"]), b"holdfast wrapped root 1", H(v["root"])), v["wrapped"])
    for where, v in each("shares", file, "refused"):
        refuses(where, lambda line: read_share(file["vectors"][0], line), v["line"].encode())


def check_journal(file):
    boundary, v = Boundary(file["boundary"]), file["segment"]
    header = segment(boundary, v)
    same("journal segment", header, v["header"])
    seed = previous = int.from_bytes(header[-4:], "big")
    for where, v in each("journal", file, "frames"):
        made = frame(boundary, v, previous, seed)
        same(where, made, v["frame"])
        same(where, u64(v["seq"]) + u64(v["time"]) + sha256(made[44:60] + H(v["record"])), v["leaf"])
        previous = int.from_bytes(made[-4:], "big")


def check_backup(file):
    journal = load("journal")
    leaves = [sha256(b"\0" + H(v["leaf"])) for v in journal["frames"]]
    roots = [sha256(b""), leaves[0], sha256(b"\1" + leaves[0] + leaves[1])]
    joined = H(journal["segment"]["header"]) + b"".join(H(v["frame"]) for v in journal["frames"])
    held = b""
    for where, v in each("backup", file):
        same(where, backup(v), v["stream"])
        for place in (v["header"]["from"], v["end"]["to"]):
            same(where, roots[place["size"]], place["root"])
        held += b"".join(H(piece) for part in v["parts"] if part["kind"] == "journal" for piece in part["pieces"])
        to = v["end"]["to"]
        same(where, held, joined[:to["offset"]].hex())
        same(where, int.from_bytes(held[-4:], "big"), to["crc"])


def check_archive(file):
    journal = load("journal")
    held = H(journal["segment"]["header"]) + b"".join(H(v["frame"]) for v in journal["frames"])
    leaves = [sha256(b"\0" + H(v["leaf"])) for v in journal["frames"]]
    for where, v in each("archive", file):
        same(where, archive_index(v), v["index"].encode())
        same(where, read_index(v["index"].encode()), [s["entries"] for s in v["segments"]])
        (one,) = v["segments"]
        same(where, sha256(held), one["sha256"])
        same(where, sha256(b"\1" + leaves[0] + leaves[1]), one["root"])
        same(where, [len(held), len(leaves), journal["frames"][-1]["time"]], [one["bytes"], one["entries"], one["lastTime"]])
    for where, v in each("archive", file, "refused"):
        refuses(where, read_index, v["index"].encode())


CHECKS = {
    "context": check_context, "derivation": check_derivation, "message": check_message, "envelope": check_envelope,
    "sealed-key": check_sealed_key, "rows": check_rows, "record": check_record, "external": check_external,
    "grants": check_grants, "import-token": check_import_token, "session-token": check_session_token, "recipient": check_recipient, "root": check_root, "shares": check_shares, "backup": check_backup, "archive": check_archive, "journal": check_journal,
}


def main():
    present = {path.stem for path in FOLDER.glob("*.json")}
    for name in sorted(present ^ set(CHECKS)):
        wrong.append(f"{name}.json: {'no check is written for it' if name in present else 'is missing'}")
    for name in sorted(present & set(CHECKS)):
        try:
            CHECKS[name](load(name))
        except (KeyError, ValueError) as error:
            wrong.append(f"{name} {type(error).__name__}: {error}")
    for where in wrong:
        print(f"wrong: {where}")
    print(f"{checked} values of {len(present)} files checked, {len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
