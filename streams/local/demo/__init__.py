"""The demo: a simulated sale, counted live by the real servers and roles, and a proof that the count is exact."""
