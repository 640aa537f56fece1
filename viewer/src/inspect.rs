//! What the sandbox says of a file: the records of its `inspect` interface,
//! and the reports that the command line makes of them.

pub use pagebox::{
    inspect::{
        Entry, Field, Finding, FindingsPart, FreeSpace, LastCommit, OwnedPage, PageInfo, PageKind,
        Recovery, Reference, Severity, Step, Structure, Summary, Tile,
    },
    report::{Found, Info, Reason},
    wit::pagebox::pager::page_store::{Algorithm, Checksum, Extent},
};
