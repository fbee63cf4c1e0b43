"""Bad inputs and faults, and what must come of each: ``make faults`` runs all, ``make test`` a sixth of them."""
