"""The DATEX II publications: 3.7 with all that AFIR asks for (`aegi`), 3.6 as Fintraffic has them (`egi`).

Objects are made in official JSON shape; the tables that `derive` makes of the schemas say how they are checked (`guard`) and written as XML
(`xml`). `publications` makes forms of them.
"""
