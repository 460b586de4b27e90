"""Files for DVC and for those who check weights."""
