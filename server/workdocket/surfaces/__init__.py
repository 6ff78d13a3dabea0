"""The doors. They speak protocols and call the service; they never touch storage."""
