"""What a ride costs, and what a card is told about it."""
