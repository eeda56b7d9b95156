"""The REST API: routers by concern, schemas beside them, one table from errors to statuses."""
