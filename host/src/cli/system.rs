//! What std does not offer of the system: how the process was started, limits,
//! signals, waiting for a stream.
//!
//! Facts this file relies on:
//! 1. An initialiser runs once, before `main` and before there is another
//!    thread; std has done nothing yet. Ours calls `fcntl` and stores to an
//!    atomic, and nothing else.
//! 2. These calls read and write only what they are handed, and what they are
//!    handed lives until they return: a local variable.
//! 3. All bytes of a `sigset_t` or a `sigaction` that are zero make a valid one.

#![cfg_attr(unix, expect(unsafe_code, reason = "std does not offer these calls"))]

/// A standard stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standard {
    Input = 0,
    Output = 1,
    Errors = 2,
}

#[cfg(unix)]
pub(crate) use unix::{
    end_after, file_size_limit, has_no_reader, ignore_file_size_signal, is_writable, wait_to_read,
    wait_to_write, was_closed,
};

#[cfg(not(unix))]
pub(crate) use elsewhere::*;

#[cfg(unix)]
mod unix {
    use std::io;
    use std::mem::{MaybeUninit, zeroed};
    use std::os::fd::{AsRawFd, BorrowedFd};
    use std::sync::atomic::{AtomicU8, Ordering};

    use libc::c_int;

    use super::Standard;

    /// A bit for each standard stream that was closed when the process started.
    static CLOSED: AtomicU8 = AtomicU8::new(0);

    // std opens /dev/null in the place of a closed standard stream, so that
    // what is written there is lost without a word: who would know better has
    // to look before.
    // SAFETY: a function of this type is what the section holds, and it does
    // what may be done this early (1).
    #[used]
    #[cfg_attr(
        any(
            target_os = "linux",
            target_os = "android",
            target_os = "freebsd",
            target_os = "netbsd",
            target_os = "openbsd",
            target_os = "dragonfly",
            target_os = "illumos"
        ),
        unsafe(link_section = ".init_array")
    )]
    #[cfg_attr(
        target_vendor = "apple",
        unsafe(link_section = "__DATA,__mod_init_func")
    )]
    static EARLY: extern "C" fn() = early;

    extern "C" fn early() {
        for stream in [Standard::Input, Standard::Output, Standard::Errors] {
            // SAFETY: it is handed numbers (2).
            let flags = unsafe { libc::fcntl(stream as c_int, libc::F_GETFD) };
            if flags == -1 {
                CLOSED.fetch_or(1 << stream as u8, Ordering::Relaxed);
            }
        }
    }

    /// Whether a stream was closed when the process started.
    pub(crate) fn was_closed(stream: Standard) -> bool {
        CLOSED.load(Ordering::Relaxed) & (1 << stream as u8) != 0
    }

    /// Whether it was opened to be written.
    pub(crate) fn is_writable(stream: BorrowedFd<'_>) -> bool {
        // SAFETY: it is handed numbers (2).
        let flags = unsafe { libc::fcntl(stream.as_raw_fd(), libc::F_GETFL) };
        flags != -1 && flags & libc::O_ACCMODE != libc::O_RDONLY
    }

    /// What there is of `events` within so many milliseconds; -1: whenever.
    fn poll(stream: BorrowedFd<'_>, events: i16, time: c_int) -> io::Result<i16> {
        let mut polled = libc::pollfd {
            fd: stream.as_raw_fd(),
            events,
            revents: 0,
        };
        loop {
            // SAFETY: it is handed one local `pollfd` (2).
            if unsafe { libc::poll(&raw mut polled, 1, time) } >= 0 {
                return Ok(polled.revents);
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }

    /// Whether it is known already that nobody will read what is written.
    pub(crate) fn has_no_reader(stream: BorrowedFd<'_>) -> bool {
        poll(stream, libc::POLLOUT, 0).is_ok_and(|found| found & libc::POLLERR != 0)
    }

    /// Waits until a stream that does not block can be read.
    pub(crate) fn wait_to_read(stream: BorrowedFd<'_>) -> io::Result<()> {
        poll(stream, libc::POLLIN, -1).map(drop)
    }

    /// Waits until it can be written.
    pub(crate) fn wait_to_write(stream: BorrowedFd<'_>) -> io::Result<()> {
        poll(stream, libc::POLLOUT, -1).map(drop)
    }

    /// The most bytes that a file may have, where there is such a limit.
    pub(crate) fn file_size_limit() -> Option<u64> {
        let mut limit = libc::rlimit {
            rlim_cur: libc::RLIM_INFINITY,
            rlim_max: libc::RLIM_INFINITY,
        };
        // SAFETY: it is handed one local `rlimit` (2).
        let got = unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &raw mut limit) };
        (got == 0 && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
    }

    /// A file at its limit is an error, and not the end of the process.
    pub(crate) fn ignore_file_size_signal() {
        // SAFETY: it is handed numbers (2).
        unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    }

    /// Ends the process with `last` and the signal when somebody interrupts it.
    /// To be called before it has threads, which would be interrupted first.
    pub(crate) fn end_after(last: impl FnOnce() + Send + 'static) -> io::Result<()> {
        // SAFETY: zeros are a valid set (3), and the calls are handed that (2).
        let set = unsafe {
            let mut set: libc::sigset_t = zeroed();
            libc::sigemptyset(&raw mut set);
            for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGTERM] {
                // Whoever started the process with a signal ignored, as `nohup`
                // does, wants it to go on.
                let mut action = MaybeUninit::<libc::sigaction>::zeroed();
                libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr());
                if action.assume_init().sa_sigaction != libc::SIG_IGN {
                    libc::sigaddset(&raw mut set, signal);
                }
            }
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
            set
        };
        let waiting = std::thread::Builder::new()
            .name("pagebox-signals".into())
            .spawn(move || {
                let mut signal = 0;
                // SAFETY: it is handed a local set and a local number (2).
                if unsafe { libc::sigwait(&raw const set, &raw mut signal) } != 0 {
                    return;
                }
                last();
                // SAFETY: they are handed numbers and a local set (2).
                unsafe {
                    libc::signal(signal, libc::SIG_DFL);
                    libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut());
                    libc::raise(signal);
                }
            });
        if waiting.is_err() {
            // SAFETY: it is handed a local set (2).
            unsafe {
                libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut())
            };
        }
        waiting.map(drop)
    }
}

#[cfg(not(unix))]
mod elsewhere {
    use std::io;

    use super::Standard;

    pub(crate) fn was_closed(_: Standard) -> bool {
        false
    }

    pub(crate) fn file_size_limit() -> Option<u64> {
        None
    }

    pub(crate) fn ignore_file_size_signal() {}

    pub(crate) fn end_after(_: impl FnOnce() + Send + 'static) -> io::Result<()> {
        Ok(())
    }
}
