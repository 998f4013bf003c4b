"""The operator console: every route asks `guard` for a session with a role."""
