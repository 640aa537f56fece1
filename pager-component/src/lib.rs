//! pagebox-component.
