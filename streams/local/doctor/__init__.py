"""Checks of `salepulse doctor`."""
