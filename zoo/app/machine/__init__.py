"""What this machine has, and what a command therefore does: device, size, processes."""
