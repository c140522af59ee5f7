"""Ladders and tables of variants: `zoo ladder NAME` trains them under one budget."""
