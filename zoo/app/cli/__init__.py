"""What users type: one thin module a group of commands, none of which loads torch to be listed."""
