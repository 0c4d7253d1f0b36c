"""The moves of the project as its people see them: how each stands, and whether it was verified lately."""
