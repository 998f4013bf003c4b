"""The protocol, for both directions: `routes` answers platforms, `client` asks them; what differs between versions is in `versions/`.

It knows no database: what it needs of the rooms above is in `ports`.
"""
