"""Simulated chips at byte level: what hangs on a validator's UARTs."""
