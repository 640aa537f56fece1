//! The program `pagebox`, run as a user would run it.
