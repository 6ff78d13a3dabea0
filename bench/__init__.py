"""Figures of the product on this machine: printed and kept, never asserted."""
