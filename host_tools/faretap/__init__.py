"""Host side of Faretap: flash, provision, present riders, read records, measure."""

__version__ = "0.1.0"
