"""SQL toolkit for every app: parameterized statements, batches, and the database's clock."""
