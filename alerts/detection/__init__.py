"""Detection: rules and data to breaches, with the memory that each detector keeps."""
