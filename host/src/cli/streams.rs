//! The standard streams as they are. std takes a closed one for one that goes
//! nowhere, panics where standard error cannot be written, and gives up where a
//! stream is not ready at once.

use std::fmt;
use std::io::{self, Read, Write};
#[cfg(unix)]
use std::os::fd::{AsFd, BorrowedFd};

use super::system::{Standard, was_closed};
#[cfg(unix)]
use super::system::{has_no_reader, is_writable, wait_to_read, wait_to_write};

/// A standard stream of bytes.
pub(crate) struct Stream {
    #[cfg(unix)]
    file: Option<std::fs::File>,
    #[cfg(not(unix))]
    stream: Standard,
}

#[cfg(unix)]
impl Stream {
    pub(crate) fn new(stream: Standard) -> Self {
        let copied = || {
            match stream {
                Standard::Input => io::stdin().as_fd().try_clone_to_owned(),
                Standard::Output => io::stdout().as_fd().try_clone_to_owned(),
                Standard::Errors => io::stderr().as_fd().try_clone_to_owned(),
            }
            .ok()
        };
        let file = if was_closed(stream) { None } else { copied() };
        Self {
            file: file.map(Into::into),
        }
    }

    fn file(&self) -> io::Result<&std::fs::File> {
        self.file
            .as_ref()
            .ok_or_else(|| io::Error::other("it is closed"))
    }

    /// That it can be written, as far as that can be known; and where `read`
    /// is asked for, that somebody may read it.
    pub(crate) fn require_writable(&self, read: bool) -> io::Result<()> {
        let file = self.file()?;
        if !is_writable(file.as_fd()) {
            return Err(io::Error::other("it was not opened to be written"));
        }
        if read && has_no_reader(file.as_fd()) {
            return Err(io::Error::from_raw_os_error(libc::EPIPE));
        }
        Ok(())
    }

    /// Does something with the file, and again after each wait for it.
    fn when_ready<R>(
        &self,
        mut work: impl FnMut(&std::fs::File) -> io::Result<R>,
        wait: impl Fn(BorrowedFd<'_>) -> io::Result<()>,
    ) -> io::Result<R> {
        let file = self.file()?;
        loop {
            match work(file) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait(file.as_fd())?,
                result => return result,
            }
        }
    }
}

#[cfg(unix)]
impl Read for Stream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.when_ready(|mut file| file.read(bytes), wait_to_read)
    }
}

#[cfg(unix)]
impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.when_ready(|mut file| file.write(bytes), wait_to_write)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(not(unix))]
impl Stream {
    pub(crate) fn new(stream: Standard) -> Self {
        Self { stream }
    }

    pub(crate) fn require_writable(&self, _: bool) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(not(unix))]
impl Read for Stream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        io::stdin().read(bytes)
    }
}

#[cfg(not(unix))]
impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.stream {
            Standard::Errors => io::stderr().write(bytes),
            _ => io::stdout().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.stream {
            Standard::Errors => io::stderr().flush(),
            _ => io::stdout().flush(),
        }
    }
}

/// Writes a line to standard error. Where it cannot be written there is nobody
/// to be told, and the exit code has to do.
pub(crate) fn complain(line: fmt::Arguments<'_>) {
    complain_of(&format!("pagebox: {line}\n"));
}

/// The same with a text as it is.
pub(crate) fn complain_of(text: &str) {
    let _ = Stream::new(Standard::Errors).write_all(text.as_bytes());
}
