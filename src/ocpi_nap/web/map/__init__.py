"""The public map.

`network.Network` holds what the map needs of every location in a few arrays, `view.View` counts under one filter, `tiles` cuts vector
tiles out of it, `live` keeps it in step with the database and tells open maps what changed, `details` shows one location, `search`
finds places and locations, and `routes` are the addresses.
"""
