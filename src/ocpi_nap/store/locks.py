"""Numbers of the advisory locks in PostgreSQL, all in one place so that no two works share one by accident.

Those of one platform (PULL, HANDSHAKE) have its id as their second number. The locks on single objects (`network.lock`) are of 64 bits
and made from their keys.
"""

MIGRATE = 8412
PULL = 8413
JOB_QUEUE = 8414
HANDSHAKE = 8415
PUBLISH_MQTT = 8416
TELL_EVENTS = 8417
ISSUE_GROUPS = 8421
"""Taken by the triggers of migration 0005."""
COUNT_OPERATORS = 8422
