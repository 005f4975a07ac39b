"""Opens and closes cases: work for a person where the platform cannot decide."""
