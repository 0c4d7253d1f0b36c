"""Asks every printer again and again, in one process or in many workers."""
