"""Everything the public reads: publications as forms over the same rows, the REST API, bulk files, the event log and who follows it.

`forms` says what a publication is, `publications` which there are: `render` has those of the contract, `datex2/` those of DATEX II.
`fragments/` keeps each row's part of each publication on the node's disk, in step with the database; `pages` are cut from it, `editions/`
are whole publications as files. `events/` is what changed, one row after the other: `/changes`, event streams, MQTT. `api` is the routes,
`http`, `limits` and `terms` are the rules that hold for every answer.
"""
