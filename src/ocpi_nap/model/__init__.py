"""The canonical objects, and what they are made of: ids, timestamps, JSON. Pure: nothing here reads or writes anything."""
