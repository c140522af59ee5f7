"""Why a model does not learn: a run, a config or the user's own model examined and explained."""
