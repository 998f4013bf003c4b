"""ocpi-nap: a National Access Point for electric-vehicle charging data."""
