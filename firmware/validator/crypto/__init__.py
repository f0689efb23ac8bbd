"""Signatures and hashes of ride codes: SM2, SM3, SM4, and ECDSA. See docs/crypto.md."""
