"""The way from one config to another: what differs, and which difference decides."""
