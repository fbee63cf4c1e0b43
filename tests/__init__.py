"""A package, so that no other one of this name, which some releases install, is taken for it."""
