"""Each row's part of each publication, on the node's own disk (LMDB): rendered when the row changes, by one process of a node.

`renderer` follows the change feed and writes, `drawing` makes the fragments of a row; `store` is the file, `tables` and `keys` what is in
it, `batch` one write. `reader` is how web workers see it.
"""
