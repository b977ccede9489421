"""What each choice of the best trial is worth, by training without it."""
