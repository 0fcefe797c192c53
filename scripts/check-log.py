#!/usr/bin/env python3
"""Checks a published log by the words of C2SP alone: tlog-tiles, tlog-checkpoint, signed-note, and Ed25519 of RFC 8032.

Shares no code with Holdfast, reads no journal and needs nothing but Python: what any monitor would do with the files
`checkpoint` and `tile/`. Exits 1 and says what is wrong. Usage: check-log.py FOLDER VKEY
It is written to be read, not to be fast.
"""
import base64
import hashlib
import pathlib
import sys

P = 2 ** 255 - 19
ORDER = 2 ** 252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def sha256(data):
    return hashlib.sha256(data).digest()


# --- Ed25519, RFC 8032 section 5.1

def add(a, b):
    e, f = (a[1] - a[0]) * (b[1] - b[0]), (a[1] + a[0]) * (b[1] + b[0])
    g, h = 2 * a[3] * b[3] * D, 2 * a[2] * b[2]
    e, f, g, h = f - e, h - g, h + g, f + e
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(scalar, point):
    result = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point, scalar = add(point, point), scalar >> 1
    return result


def point_of(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if y >= P or (x * x - square) % P:
        raise ValueError("not a point")
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


BASE = point_of((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def ed25519(public, message, signature):
    scalar = int.from_bytes(signature[32:], "little")
    digest = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % ORDER
    left, right = times(scalar, BASE), add(point_of(signature[:32]), times(digest, point_of(public)))
    same = (left[0] * right[2] - right[0] * left[2]) % P == 0 and (left[1] * right[2] - right[1] * left[2]) % P == 0
    return scalar < ORDER and len(signature) == 64 and same


# --- signed-note, tlog-checkpoint

def checkpoint(note, vkey):
    """Size and root of a checkpoint that the key has signed."""
    name, key_id, encoded = vkey.split("+", 2)
    typed = base64.b64decode(encoded, validate=True)
    if typed[0] != 1 or sha256(name.encode() + b"\n" + typed)[:4].hex() != key_id:
        raise ValueError("the verifier key is none")
    text, lines = note[:note.rindex(b"\n\n") + 1], note[note.rindex(b"\n\n") + 2:].decode().splitlines()
    for line in lines:
        dash, who, signature = line.split(" ")
        signature = base64.b64decode(signature, validate=True)
        if dash == "\u2014" and who == name and signature[:4].hex() == key_id:
            if not ed25519(typed[1:], text, signature[4:]):
                raise ValueError("the signature is wrong")
            break
    else:
        raise ValueError("the key has not signed")
    origin, size, root = text.decode().splitlines()
    if origin != name:
        raise ValueError("another log's checkpoint")
    return int(size), base64.b64decode(root, validate=True)


# --- RFC 6962 section 2.1, tlog-tiles

def tree_hash(hashes):
    """MTH of leaves whose hashes are given."""
    if not hashes:
        return sha256(b"")
    if len(hashes) == 1:
        return hashes[0]
    k = 1 << (len(hashes) - 1).bit_length() - 1
    return sha256(b"\x01" + tree_hash(hashes[:k]) + tree_hash(hashes[k:]))


def path_of(level, index, width):
    groups = [f"{index % 1000:03}"]
    while index >= 1000:
        index //= 1000
        groups.insert(0, f"x{index % 1000:03}")
    return f"tile/{level}/{'/'.join(groups)}" + ("" if width == 256 else f".p/{width}")


def check(folder, vkey):
    size, root = checkpoint((folder / "checkpoint").read_bytes(), vkey)
    files, hashes, level = 0, [], 0
    for index in range((size + 255) // 256):
        bundle = (folder / path_of("entries", index, min(256, size - index * 256))).read_bytes()
        files += 1
        at = 0
        while at < len(bundle):
            length = int.from_bytes(bundle[at:at + 2], "big")
            entry = bundle[at + 2:at + 2 + length]
            if length != 48 or len(entry) != length or int.from_bytes(entry[:8], "big") != len(hashes):
                raise ValueError(f"entry {len(hashes)} is not one")
            hashes.append(sha256(b"\x00" + entry))
            at += 2 + length
    if len(hashes) != size:
        raise ValueError(f"{len(hashes)} entries, and the checkpoint says {size}")
    if tree_hash(hashes) != root:
        raise ValueError("the entries do not make the root")
    while hashes:
        for index in range((len(hashes) + 255) // 256):
            part = hashes[index * 256:index * 256 + 256]
            name = path_of(level, index, len(part))
            files += 1
            if (folder / name).read_bytes() != b"".join(part):
                raise ValueError(f"{name} is wrong")
        # Only full tiles are hashed into the level above.
        hashes = [tree_hash(hashes[at:at + 256]) for at in range(0, len(hashes) // 256 * 256, 256)]
        level += 1
    return size, files


def main():
    try:
        size, files = check(pathlib.Path(sys.argv[1]), sys.argv[2])
    except (ValueError, OSError, IndexError) as error:
        print(f"wrong: {error}")
        return 1
    print(f"{size} entries, {files} tiles and bundles: good")
    return 0


if __name__ == "__main__":
    sys.exit(main())
