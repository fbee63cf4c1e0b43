"""Benchmarks and generators of the project's pages; outside the wheel. One file is one benchmark: see README.md."""
