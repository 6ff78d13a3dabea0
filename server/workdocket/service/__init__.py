"""The shell: reads, asks the order type, lets the core decide, and has the outcome written."""
