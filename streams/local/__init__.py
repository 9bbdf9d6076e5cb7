"""Everything on one machine: the embedded servers, `up`, `demo` and `doctor`."""
