//! The courtesy record: who writes. It keeps people from opening a store twice by
//! mistake; what keeps the store safe is the epoch.

use std::fmt;
use std::time::{Duration, SystemTime};

use slatedb::object_store::path::Path;
use slatedb::object_store::{Error as ObjectError, ObjectStore, ObjectStoreExt};

use crate::Error;

/// Who has a store open to write.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Writer {
    /// The epoch by which it fenced the writer before.
    pub epoch: u64,
    /// The machine's name.
    pub host: String,
    /// The number of its process there.
    pub pid: u32,
    /// When it opened the store, by that machine's clock.
    pub since: SystemTime,
}

impl fmt::Display for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = humantime::format_rfc3339_seconds(self.since);
        write!(f, "process {} on {}, since {since}", self.pid, self.host)
    }
}

impl Writer {
    /// This process.
    pub(crate) fn own(epoch: u64) -> Self {
        let named = std::fs::read_to_string("/proc/sys/kernel/hostname")
            .or_else(|_| std::env::var("HOSTNAME"))
            .unwrap_or_default();
        let named = named.trim();
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self {
            epoch,
            host: if named.is_empty() { "unknown" } else { named }.to_owned(),
            pid: std::process::id(),
            // As much of it as the record keeps.
            since: SystemTime::UNIX_EPOCH
                + Duration::from_secs(since.unwrap_or_default().as_secs()),
        }
    }

    fn encoded(&self, state: &str) -> String {
        let since = self.since.duration_since(SystemTime::UNIX_EPOCH);
        format!(
            "{state}\n{}\n{}\n{}\n{}\n",
            self.epoch,
            self.host,
            self.pid,
            since.unwrap_or_default().as_secs()
        )
    }
}

/// What the record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) is_open: bool,
    /// Who opened it last.
    pub(crate) writer: Writer,
}

impl Record {
    /// None: it says nothing that can be understood, which a courtesy may.
    fn decoded(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let is_open = lines.next()? == "open";
        let writer = Writer {
            epoch: lines.next()?.parse().ok()?,
            host: lines.next()?.to_owned(),
            pid: lines.next()?.parse().ok()?,
            since: SystemTime::UNIX_EPOCH
                .checked_add(Duration::from_secs(lines.next()?.parse().ok()?))?,
        };
        Some(Self { is_open, writer })
    }
}

fn name(prefix: &Path) -> Path {
    prefix.clone().join("pagebox").join("writer")
}

/// What the record says.
pub(crate) async fn look(store: &dyn ObjectStore, prefix: &Path) -> Result<Option<Record>, Error> {
    let found = match store.get(&name(prefix)).await {
        Ok(found) => found.bytes().await,
        Err(error) => Err(error),
    };
    match found {
        Ok(bytes) => Ok(Record::decoded(&String::from_utf8_lossy(&bytes))),
        Err(ObjectError::NotFound { .. }) => Ok(None),
        Err(error) => Err(Error::of_object(&error)),
    }
}

/// Says that `writer` has it open, or has closed it.
pub(crate) async fn note(
    store: &dyn ObjectStore,
    prefix: &Path,
    writer: &Writer,
    is_open: bool,
) -> Result<(), Error> {
    let text = writer.encoded(if is_open { "open" } else { "closed" });
    let put = store.put(&name(prefix), text.into()).await;
    put.map(drop).map_err(|error| Error::of_object(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_says_who_until_it_is_closed() {
        let writer = Writer {
            epoch: 7,
            host: "node-3".into(),
            pid: 42,
            since: SystemTime::UNIX_EPOCH + Duration::from_hours(500_000),
        };
        for is_open in [true, false] {
            let text = writer.encoded(if is_open { "open" } else { "closed" });
            let writer = writer.clone();
            assert_eq!(Record::decoded(&text), Some(Record { is_open, writer }));
        }
        assert_eq!(Record::decoded("open\nrubbish"), None);
        let said = "process 42 on node-3, since 2027-01-15T08:00:00Z";
        assert_eq!(writer.to_string(), said);
    }
}
