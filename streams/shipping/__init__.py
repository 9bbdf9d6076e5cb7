"""The shipping clock: what becomes of each order between its payment and its delivery, joined exactly across topics."""
