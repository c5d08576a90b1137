"""Contract tests for operators; authors of plugins run them over their own. Needs pytest."""
