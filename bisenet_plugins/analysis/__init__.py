"""Looking at networks, data and machines."""
