"""Salt hashes: what keeps the blocks of tenants and adapters apart."""

from __future__ import annotations

import hashlib

from kvpool._core.hashing import hash_bytes

_ROUTER_SALT_HASH = 1337


def router_salt_hash(lora_name: str | None = None, salt: str | None = None) -> int:
    """Return the salt hash that a Dynamo router gives to the blocks of an adapter and a tenant.

    Parameters
    ----------
    lora_name : str, optional
        Name of the LoRA adapter. An empty name counts as none.
    salt : str, optional
        What keeps a tenant's blocks apart. An empty salt counts as none.

    Returns
    -------
    int
        In [0, 2**64): 1337, plus XXH3-64 of the name under seed 0, plus XXH3-64 of the salt under seed 1, as in
        Dynamo's token hashing. Both are hashed as UTF-8.

    Raises
    ------
    TypeError
        If an argument is neither a `str` nor `None`.

    Examples
    --------
    >>> from kvpool import router_salt_hash, sequence_hashes
    >>> router_salt_hash()
    1337
    >>> sequence_hashes([1, 2, 3, 4], block_size=4, salt_hash=router_salt_hash()).tolist()
    [14643705804678351452]
    """
    total = _ROUTER_SALT_HASH
    for name, text, seed in (("lora_name", lora_name, 0), ("salt", salt, 1)):
        if text is not None and not isinstance(text, str):
            raise TypeError(f"{name} must be a str or None, not {type(text).__name__}")
        if text:
            total += hash_bytes(text.encode(), seed)
    return total % 2**64


def keyed_salt_hash(secret: bytes, **parts: str | bytes | int) -> int:
    """Return a salt hash that nobody can make, or aim at, who does not know the secret.

    For what comes with requests, such as the name of a tenant or an adapter: whoever chooses these freely can choose a
    :func:`router_salt_hash`, which is public arithmetic, and so the blocks to be found; not so here.

    Parameters
    ----------
    secret : bytes of length 16 to 64
        The server's.
    **parts : str, bytes or int
        What tells blocks apart, by name, at least one; an int is in [0, 2**64). Order does not count; names and kinds
        do: no text in one part stands for a text in another.

    Returns
    -------
    int
        In [0, 2**64): BLAKE2b (RFC 7693) of 8 bytes, keyed with the secret, of each part in the order of the names: for
        the name and then the value, one byte that tells its kind, its length in 8 bytes, little-endian, and its bytes.

    Raises
    ------
    TypeError
        A part or the secret is of another kind.
    ValueError
        The secret is too short or too long, there is no part, or an int is out of range.

    Examples
    --------
    >>> from kvpool import keyed_salt_hash
    >>> secret = bytes(range(32))
    >>> keyed_salt_hash(secret, tenant="a", adapter="b") == keyed_salt_hash(secret, adapter="b", tenant="a")
    True
    >>> keyed_salt_hash(secret, tenant="a") == keyed_salt_hash(secret, adapter="a")
    False
    """
    if not isinstance(secret, bytes):
        raise TypeError(f"secret must be bytes, not {type(secret).__name__}")
    if not 16 <= len(secret) <= 64:
        raise ValueError(f"secret has {len(secret)} bytes, not 16 to 64")
    if not parts:
        raise ValueError("there is no part to make a salt of")
    message = b"".join(_frame(name, "a name") + _frame(parts[name], name) for name in sorted(parts))
    return int.from_bytes(hashlib.blake2b(message, digest_size=8, key=secret, person=b"kvpool salt").digest(), "little")


def _frame(value: str | bytes | int, name: str) -> bytes:
    """Kind, length and bytes: no two lists of values have the same frames."""
    if isinstance(value, str):
        kind, data = b"s", value.encode()
    elif isinstance(value, bytes):
        kind, data = b"b", value
    elif isinstance(value, int) and not isinstance(value, bool):
        if not 0 <= value < 2**64:
            raise ValueError(f"{name} = {value} is not in [0, 2**64)")
        kind, data = b"i", value.to_bytes(8, "little")
    else:
        raise TypeError(f"{name} must be a str, bytes or int, not {type(value).__name__}")
    return kind + len(data).to_bytes(8, "little") + data
