"""What the monolith never knew of a profile: how its pages look, and what of it others share."""
