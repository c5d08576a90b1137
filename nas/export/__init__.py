"""Networks that leave: as files that hold them whole, measured, trained in full."""
