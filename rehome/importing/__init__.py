"""Import: rows of another server become rows of a model here, as often as it is run."""
