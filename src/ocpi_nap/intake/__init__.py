"""How an object that a CPO pushes or that we pull becomes ours.

`receiver` takes pushes and `crawl` pulls; both make an `operations.Operation` of an object, which `batches` merges (`merge`, `evses`,
`tariffs`) and writes, many in one transaction (`writer`: group commit). `jobs` is the queue of what is due, `handlers` what is done then.
"""
