"""Which layers INT8 hurts, measured, and the cheapest set of them to leave in float."""
