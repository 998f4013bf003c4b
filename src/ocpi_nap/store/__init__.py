"""PostgreSQL: the schema (`migrations/`) and the SQL of each subject beside the function that runs it. No rule of the business is here."""
