"""A study directory, file by file; knows neither torch nor samplers."""
