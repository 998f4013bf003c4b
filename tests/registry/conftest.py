"""The NAP on real HTTP, with simulated platforms to register."""

from tests.simulator.conftest import nap as nap
