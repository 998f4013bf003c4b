"""The public page on which CPOs ask to be connected, its checks while typing, and the status of a request."""
