"""Everything that runs. Its hot modules come compiled where they have been: see `services.compiled`."""

from services import compiled

compiled.prefer()
