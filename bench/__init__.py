"""Benchmarks: `make bench` runs them all, prints one table and keeps the figures with version and commit."""
