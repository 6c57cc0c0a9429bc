"""Property tests may take their time: a slow machine is no failure."""

from hypothesis import settings

settings.register_profile("gate", deadline=None)
settings.load_profile("gate")
