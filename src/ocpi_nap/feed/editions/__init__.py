"""Whole publications as files, in all content codings.

`snapshots` says when an edition is made and `maker` how: of blocks (`blockindex`), compressed by themselves (`segments`, `crc`), so that
only those that changed are compressed anew. `whole` is what a worker serves of it, `files` how. `bulk` and `bulkfeed` make the same of all
locations as a table.
"""
