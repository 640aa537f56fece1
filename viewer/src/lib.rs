//! pagebox-viewer.
