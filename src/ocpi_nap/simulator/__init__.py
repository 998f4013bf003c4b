"""CPO platforms that speak all versions, with a realistic network of Finland: for the demo, tests and benchmarks."""
