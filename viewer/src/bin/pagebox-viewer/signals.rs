//! The system's wishes: when to end, and what not to die of.

use std::io;

/// Ready at Ctrl-C, when the terminal is closed, or when the system asks the
/// program to end: each is heard from now on.
#[cfg(unix)]
pub(crate) fn end() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    // `nohup` starts programs that are to outlive their terminal.
    let mut hangup = if is_ignored(SignalKind::hangup()) {
        None
    } else {
        Some(signal(SignalKind::hangup())?)
    };
    Ok(async move {
        let hung_up = async {
            match &mut hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hung_up => {}
        }
    })
}

/// Ready at Ctrl-C.
#[cfg(not(unix))]
pub(crate) fn end() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}

/// From now on a write past the limit on the size of files is an error, which
/// can be told, and not the end.
#[cfg(unix)]
pub(crate) fn survive_limits() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    // It stays heard when what would listen is dropped.
    drop(signal(SignalKind::from_raw(libc::SIGXFSZ))?);
    Ok(())
}

/// Other systems have no such signal.
#[cfg(not(unix))]
pub(crate) fn survive_limits() -> io::Result<()> {
    Ok(())
}

/// Whether the program was started with a signal ignored, where the system
/// tells.
#[cfg(unix)]
fn is_ignored(kind: tokio::signal::unix::SignalKind) -> bool {
    let ignored = std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| {
            let mask = status
                .lines()
                .find_map(|line| line.strip_prefix("SigIgn:"))?;
            u64::from_str_radix(mask.trim(), 16).ok()
        });
    // The first signal is number 1.
    let bit = u32::try_from(kind.as_raw_value() - 1).ok();
    bit.and_then(|bit| ignored?.checked_shr(bit))
        .is_some_and(|bits| bits & 1 == 1)
}
