"""Racks of validators under test: what is in them, who uses them, how they are."""
