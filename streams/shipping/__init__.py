"""Shipping: the life of each order from payment to delivery, joined exactly across topics."""
