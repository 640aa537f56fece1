//! pagebox.
