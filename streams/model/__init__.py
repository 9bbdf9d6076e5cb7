"""The model of a shop: KPIs, windows, promotions, phases, currencies."""
