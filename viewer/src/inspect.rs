//! What the sandbox says of a file: the records of its `inspect` interface,
//! and the reports that the command line makes of them.

pub use pagebox::{
    inspect::{
        Field, Finding, FindingsPart, PageInfo, PageKind, Recovery, Reference, Severity, Side,
        Slot, Step, Structure, Summary, Tile,
    },
    report::{Found, Info, Reason},
    wit::pagebox::pager::page_store::Extent,
};
