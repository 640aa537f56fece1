//! What the screen of the crash simulator says: as lines, and how they are made of what
//! the simulator found.

mod lines;
mod making;

pub(crate) use lines::CrashView;
pub(crate) use making::{Found, Making, Told};
