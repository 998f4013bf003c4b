"""`ocpi-nap check`: walks a CPO's platform as a NAP would, and judges what it answers by the table in `checks/`."""
