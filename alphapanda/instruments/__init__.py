"""Instruments from the brokers' daily dumps: read, judged row by row and as a whole, and kept by date."""
