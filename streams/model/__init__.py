"""The model of a shop: KPIs, windows, promotions and their forecast, currencies."""
