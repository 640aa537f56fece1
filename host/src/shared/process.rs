//! [`Process`]: which process this is. The committer's thread is in the one
//! that started it, and a forked one has no such thread.

/// The process that something was made in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Process(u32);

impl Process {
    pub(super) fn this() -> Self {
        Self(std::process::id())
    }

    /// Some other one.
    #[cfg(test)]
    pub(super) fn other() -> Self {
        Self(0)
    }

    /// Whether it is not the one that runs this.
    pub(super) fn is_gone(self) -> bool {
        self.0 != std::process::id()
    }
}
