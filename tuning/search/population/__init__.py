"""Population based training: trials that go on from the checkpoints of better ones, with changed recipes."""
