"""The shares of docs/formats/root.md in plain Python, made from that document and nothing else, for check-vectors.py."""
import base64

from plain_formats import H, sha256, u8


def product(a, b):
    """In GF(2^8): the product of the polynomials, and then its remainder."""
    whole = 0
    for bit in range(8):
        whole ^= a << bit if b >> bit & 1 else 0
    for bit in range(14, 7, -1):
        whole ^= 0x11B << (bit - 8) if whole >> bit & 1 else 0
    return whole


def split_at(key, coefficients, threshold, place):
    """The values of every byte's polynomial at one place."""
    values = []
    for at, value in enumerate(key):
        power = 1
        for coefficient in coefficients[at * (threshold - 1):(at + 1) * (threshold - 1)]:
            power = product(power, place)
            value ^= product(coefficient, power)
        values.append(value)
    return bytes(values)


LABEL = b"holdfast-share-1"


def share_line(v, raw):
    data = H(v["boundaryId"]) + H(v["setId"]) + u8(v["threshold"]) + u8(v["count"]) + raw[32:] + raw[:32]
    data += sha256(LABEL + data)[:4]
    letters = base64.b32encode(data).decode().rstrip("=")
    return LABEL.decode() + " " + "-".join(letters[at:at + 6] for at in range(0, len(letters), 6))


def read_share(v, line):
    if len(line) > 512 or line[:16] != LABEL:
        raise ValueError("no share")
    letters = line[16:].translate(None, b" -\t\r").upper()
    data = base64.b32decode(letters + b"=" * (-len(letters) % 8))
    if len(letters) != 101 or base64.b32encode(data).rstrip(b"=") != letters or data[26] == 0:
        raise ValueError("no share")
    if sha256(LABEL + data[:59])[:4] != data[59:]:
        raise ValueError("mistyped")
    if data[:26] != H(v["boundaryId"]) + H(v["setId"]) + u8(v["threshold"]) + u8(v["count"]):
        raise ValueError("of other shares")
    return data[27:59] + data[26:27]
