"""Looks at everything that counting rests on, and says what is wrong and how to mend it."""
