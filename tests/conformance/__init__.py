"""Which test holds which requirement: the marker, the table of numbers and the page made of both."""
