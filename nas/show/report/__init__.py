"""`nas report`: one HTML page that needs neither a server nor a network."""
