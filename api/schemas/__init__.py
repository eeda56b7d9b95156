"""What goes in and out over HTTP. Decimals are strings, times RFC 3339 in UTC; every model carries an example."""
