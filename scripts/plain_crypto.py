"""AES-256-GCM, AES key wrap and RSA-OAEP in plain Python, for check-vectors.py: to be read, not to be fast or safe. Never use it on a real secret."""
import hashlib


def xtime(a):
    return ((a << 1) ^ 0x11B) & 0xFF if a & 0x80 else a << 1


def make_sbox():
    """FIPS 197 section 5.1.1: the inverse in GF(2^8), then the affine map."""
    power, log, x = [0] * 255, [0] * 256, 1
    for i in range(255):
        power[i], log[x] = x, i
        x ^= xtime(x)
    sbox = []
    for a in range(256):
        inverse = power[(255 - log[a]) % 255] if a else 0
        s = 0x63
        for shift in range(5):
            s ^= (inverse << shift | inverse >> (8 - shift)) & 0xFF
        sbox.append(s)
    return sbox


SBOX = make_sbox()


def expand(key):
    """The 15 round keys of AES-256, each 16 bytes."""
    words = [list(key[i:i + 4]) for i in range(0, 32, 4)]
    rcon = 1
    for i in range(8, 60):
        word = list(words[i - 1])
        if i % 8 == 0:
            word = [SBOX[b] for b in word[1:] + word[:1]]
            word[0] ^= rcon
            rcon = xtime(rcon)
        elif i % 8 == 4:
            word = [SBOX[b] for b in word]
        words.append([a ^ b for a, b in zip(words[i - 8], word)])
    return [sum(words[i:i + 4], []) for i in range(0, 60, 4)]


def aes(keys, block):
    state = [a ^ b for a, b in zip(block, keys[0])]
    for number in range(1, 15):
        state = [SBOX[state[(i + 4 * (i % 4)) % 16]] for i in range(16)]
        if number < 14:
            mixed = []
            for c in range(0, 16, 4):
                column = state[c:c + 4]
                every = column[0] ^ column[1] ^ column[2] ^ column[3]
                mixed += [column[i] ^ every ^ xtime(column[i] ^ column[(i + 1) % 4]) for i in range(4)]
            state = mixed
        state = [a ^ b for a, b in zip(state, keys[number])]
    return bytes(state)


def cbc(key, iv, clear):
    """AES in CBC mode with the padding of PKCS #7."""
    keys, blocks, padding = expand(key), [iv], 16 - len(clear) % 16
    clear += bytes([padding]) * padding
    for at in range(0, len(clear), 16):
        blocks.append(aes(keys, bytes(a ^ b for a, b in zip(clear[at:at + 16], blocks[-1]))))
    return b"".join(blocks[1:])


def ghash(h, data):
    y = 0
    for i in range(0, len(data), 16):
        x, v, z = y ^ int.from_bytes(data[i:i + 16], "big"), h, 0
        for bit in range(127, -1, -1):
            if x >> bit & 1:
                z ^= v
            v = v >> 1 ^ (0xE1 << 120 if v & 1 else 0)
        y = z
    return y.to_bytes(16, "big")


def gcm(key, iv, aad, data, encrypt):
    keys = expand(key)
    h = int.from_bytes(aes(keys, bytes(16)), "big")
    pad = lambda b: b + bytes(-len(b) % 16)
    lengths = lambda a, b: (8 * a).to_bytes(8, "big") + (8 * b).to_bytes(8, "big")
    counter = iv + b"\0\0\0\1" if len(iv) == 12 else ghash(h, pad(iv) + lengths(0, len(iv)))
    start, output = int.from_bytes(counter[12:], "big"), b""
    for i in range(0, len(data), 16):
        block = aes(keys, counter[:12] + ((start + 1 + i // 16) % 2**32).to_bytes(4, "big"))
        output += bytes(a ^ b for a, b in zip(data[i:i + 16], block))
    ciphertext = output if encrypt else data
    tag = ghash(h, pad(aad) + pad(ciphertext) + lengths(len(aad), len(ciphertext)))
    return output, bytes(a ^ b for a, b in zip(tag, aes(keys, counter)))


def seal(key, iv, aad, clear):
    ciphertext, tag = gcm(key, iv, aad, clear, True)
    return ciphertext + tag


def unseal(key, iv, aad, sealed):
    clear, tag = gcm(key, iv, aad, sealed[:-16], False)
    if tag != sealed[-16:]:
        raise ValueError("the tag does not fit")
    return clear


def wrap_padded(key, clear):
    """RFC 5649 section 4.1."""
    a = bytes.fromhex("a65959a6") + len(clear).to_bytes(4, "big")
    clear += bytes(-len(clear) % 8)
    return aes(expand(key), a + clear) if len(clear) == 8 else wrap_blocks(key, a, clear)


def wrap_plain(key, clear):
    """RFC 3394 section 2.2.1, with the initial value of section 2.2.3.1."""
    return wrap_blocks(key, bytes.fromhex("a6a6a6a6a6a6a6a6"), clear)


def wrap_blocks(key, a, clear):
    """RFC 3394 section 2.2.1, by indexing."""
    keys = expand(key)
    blocks = [clear[i:i + 8] for i in range(0, len(clear), 8)]
    for step in range(6 * len(blocks)):
        at = step % len(blocks)
        block = aes(keys, a + blocks[at])
        a = (int.from_bytes(block[:8], "big") ^ (step + 1)).to_bytes(8, "big")
        blocks[at] = block[8:]
    return a + b"".join(blocks)


def der(data):
    """The elements of a DER sequence: (tag, contents)."""
    elements, at = [], 0
    while at < len(data):
        tag, length, at = data[at], data[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7F
            length, at = int.from_bytes(data[at:at + size], "big"), at + size
        elements.append((tag, data[at:at + length]))
        at += length
    return elements


def oaep(private_key, algorithm, wrapped):
    """RFC 8017 section 7.1.2, with the RSA key of a PKCS #8 structure."""
    octets = der(der(private_key)[0][1])[2][1]
    numbers = [int.from_bytes(value, "big") for _, value in der(der(octets)[0][1])]
    n, d, size = numbers[1], numbers[3], (numbers[1].bit_length() + 7) // 8
    new = hashlib.sha256 if algorithm.endswith("256") else hashlib.sha1
    encoded = pow(int.from_bytes(wrapped, "big"), d, n).to_bytes(size, "big")

    def mask(seed, length):
        stream = b"".join(new(seed + i.to_bytes(4, "big")).digest() for i in range(length // new().digest_size + 1))
        return stream[:length]

    def xor(a, b):
        return bytes(x ^ y for x, y in zip(a, b))

    hashed = new().digest_size
    seed = xor(encoded[1:1 + hashed], mask(encoded[1 + hashed:], hashed))
    block = xor(encoded[1 + hashed:], mask(seed, size - 1 - hashed))
    if encoded[0] != 0 or block[:hashed] != new(b"").digest():
        raise ValueError("not OAEP")
    padding, _, clear = block[hashed:].partition(b"\1")
    if any(padding):
        raise ValueError("not OAEP")
    return clear
