"""The promotions that are in force: written as a file, checked, compared and put on the topic `promotions`."""
