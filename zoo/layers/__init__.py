"""Plain torch modules that several rooms build with; they know neither hands nor cameras."""
