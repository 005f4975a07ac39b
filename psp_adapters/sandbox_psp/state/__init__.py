"""The sandbox PSP's durable state: the journal, and the records built from it."""
