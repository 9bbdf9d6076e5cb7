"""What an alert's state is, who is told of it, and how it is kept."""
