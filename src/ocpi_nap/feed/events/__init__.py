"""What the public sees change: a log in the database, written by one node at a time and read by number.

`logwriter` derives it from the change feed; `changes` (the delta API), `stream` (server-sent events) and `mqtt` read it, `objects` renders
what its events are about. `broker` is the embedded MQTT broker, `relay` MQTT over WebSocket on our own port.
"""
