"""The pure core: what the product means by work. Standard library only, no clock, no I/O."""
