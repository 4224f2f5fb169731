"""The public contract: numbers, messages, errors and JSON."""
