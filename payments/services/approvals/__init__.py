"""Four eyes: a request holds exactly what will happen, and a second person decides on it."""
