"""Names of other projects' weights, and how they map to ours."""
