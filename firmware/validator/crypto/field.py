"""The field machine of this chip: the fastest kernel that this image holds.

The image builder adds `field_kernel`: machine code where there is an assembler for the chip, else
viper (docs/crypto.md). Without it, Python integers do the same work.
"""

# mypy: ignore-errors
# field_kernel exists in images alone.

try:
    from validator.crypto.field_kernel import NAME
except ImportError:
    from validator.crypto.field_py import NAME, Field
else:
    if NAME == "viper":
        from validator.crypto.field_viper import Field
    else:
        from validator.crypto.field_words import Field

__all__ = ("NAME", "Field")
