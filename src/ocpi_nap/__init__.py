"""ocpi-nap: a National Access Point for electric-vehicle charging data."""

__version__ = "0.1.0"
