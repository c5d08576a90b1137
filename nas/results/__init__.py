"""What a study has found: facts, no printing."""
