"""Answers checks from memory: may this request spend this much? And replaces reservations by what was used."""
