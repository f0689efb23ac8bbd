"""Simulated riders and chips. Nothing here imports the firmware that it tests."""
