//! pagebox-tests.
