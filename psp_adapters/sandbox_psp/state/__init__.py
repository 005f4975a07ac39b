"""The sandbox PSP's durable truth: records, journal and what folds it."""
