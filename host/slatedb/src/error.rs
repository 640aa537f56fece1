//! [`Error`]: why a store could not be opened, read or changed.

use std::time::Duration;

use pagebox_store::StoreError;
use slatedb::{CloseReason, ErrorKind};

use crate::record::Writer;

/// Why a store could not be opened, read or changed. No text has a key in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address is not one of a store; the text says why.
    #[error("{0}")]
    Address(String),
    /// Nobody has made a store there, or not to the end. Nothing was made.
    #[error("there is no page store there")]
    NotFound,
    /// There is a store already.
    #[error("there is a page store there already")]
    Exists,
    /// Another writer has the store open, or did not close it.
    #[error("another writer has it open: {0}")]
    Locked(Writer),
    /// Another writer opened the store and has not said so yet: it is doing that now,
    /// or ended there.
    #[error("another writer opened it just now, or ended while it did")]
    Opening,
    /// Another writer has taken the store over: nothing of what was to become
    /// durable since did.
    #[error("another writer has taken the store over")]
    Fenced,
    /// The object store writes over an object that was to be made only where there
    /// is none: two writers could ruin what they share.
    #[error(
        "this object store ignores If-None-Match, by which one of two writers is refused: \
         they could ruin the store"
    )]
    IgnoresConditions,
    /// No answer within [`Options::timeout`](crate::Options::timeout).
    #[error("no answer in {} s: what is durable is not known", .0.as_secs_f32())]
    NoAnswer(Duration),
    /// The object store refused or failed; the text says what it said.
    #[error("{0}")]
    Unavailable(String),
    /// The object store's bytes are not those that were written.
    #[error("the object store's bytes are damaged: {0}")]
    Damaged(String),
    /// What a reader found at opening is not kept any more.
    #[error("the writer has moved on: look again")]
    MovedOn,
    /// A version of this store that this release does not know.
    #[error("the store is of version {0}, which this program does not know")]
    UnknownVersion(u8),
    /// A write or a sync failed before.
    #[error("a write or a sync failed before: reopen the store to see what is durable")]
    Poisoned,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl Error {
    /// What `SlateDB` failed with. Of a reader an object that is missing means that it
    /// was collected.
    pub(crate) fn of(error: &slatedb::Error, is_reader: bool) -> Self {
        let text = || scrubbed(&told(error));
        match error.kind() {
            ErrorKind::Closed(CloseReason::Fenced) => Self::Fenced,
            ErrorKind::Unavailable => Self::Unavailable(text()),
            ErrorKind::Data if is_reader && is_missing(error) => Self::MovedOn,
            ErrorKind::Data => Self::Damaged(text()),
            _ => Self::Other(text()),
        }
    }

    pub(crate) fn of_object(error: &slatedb::object_store::Error) -> Self {
        Self::Unavailable(scrubbed(&told(error)))
    }
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        match error {
            Error::Fenced => Self::Fenced,
            Error::NoAnswer(_)
            | Error::Unavailable(_)
            | Error::Damaged(_)
            | Error::MovedOn
            | Error::Poisoned => Self::io(error.to_string()),
            error => Self::Other(Some(error.to_string())),
        }
    }
}

/// Whether an object is missing that was there.
fn is_missing(error: &slatedb::Error) -> bool {
    use slatedb::object_store::Error as Object;
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        let found = error.downcast_ref::<Object>();
        let shared = error.downcast_ref::<std::sync::Arc<Object>>();
        if matches!(
            found.or(shared.map(|it| &**it)),
            Some(Object::NotFound { .. })
        ) {
            return true;
        }
        source = error.source();
    }
    false
}

/// An error with all that caused it, each said once.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    text
}

/// The variables of the environment whose values no text may show.
const SECRETS: [&str; 9] = [
    "AWS_SECRET_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SESSION_TOKEN",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_SAS_KEY",
    "AZURE_STORAGE_TOKEN",
    "AZURE_CLIENT_SECRET",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
];

/// A line for people without what nobody may see: an object store's client puts the
/// address of a request into its errors, and signatures stand behind a `?` there.
pub(crate) fn scrubbed(text: &str) -> String {
    const MOST: usize = 600;
    let mut line = String::new();
    let mut skips = false;
    for c in text.chars() {
        match c {
            '?' => skips = true,
            ' ' | '"' | '\'' | ')' | ',' | '\n' => skips = false,
            _ => {}
        }
        if skips && c != '?' {
            continue;
        }
        line.push(if c.is_control() { ' ' } else { c });
    }
    for name in SECRETS {
        match std::env::var(name) {
            Ok(value) if value.len() >= 4 => line = line.replace(&value, "***"),
            _ => {}
        }
    }
    if line.len() > MOST {
        line.truncate(line.floor_char_boundary(MOST));
        line.push_str("...");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_behind_a_question_mark_is_not_shown() {
        let said = "GET http://host/b/k?sig=abc&x=1 failed (\"http://h/?k=v\")\n";
        let shown = "GET http://host/b/k? failed (\"http://h/?\") ";
        assert_eq!(scrubbed(said), shown);
    }
}
