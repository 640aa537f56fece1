//! What can go wrong with a request, in words with a way onward.

use std::io::ErrorKind;

use axum::http::StatusCode;

use crate::{look::LookError, text};

/// Why a request was not answered with what it asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Error {
    #[error("the address is longer than 4096 bytes")]
    UriTooLong,
    #[error("the Host header does not name this viewer")]
    Host,
    #[error("only GET and HEAD are answered")]
    Method,
    #[error("the list cannot be removed: {0}")]
    Forget(std::io::Error),
    #[error("this button is not of this viewer")]
    StaleButton,
    #[error("requests with a body are not answered")]
    Body,
    #[error("the request's headers are larger than 64 KiB")]
    HeadersTooLarge,
    #[error("a token is needed")]
    Token,
    #[error("this link was used already")]
    SpentLink,
    #[error("this link is not answered ahead of time")]
    AheadOfTime,
    #[error("requests from other sites are not answered here")]
    OtherSite,
    #[error("there is nothing at this address")]
    NotFound,
    #[error("there is no file {0}")]
    NoFile(String),
    #[error("there is no page {page}: {place}")]
    NoPage { page: u64, place: String },
    #[error("{0}")]
    Query(String),
    #[error("this is a file, and not a trace of what was written to one")]
    NoTrace,
    #[error("all event streams are in use")]
    EventStreams,
    #[error("the answer is larger than 1 MiB")]
    TooLarge,
    #[error("the viewer failed in a way that it does not know")]
    Panic,
    #[error("the answer could not be written")]
    Render,
    #[error(transparent)]
    Look(#[from] LookError),
}

impl Error {
    /// A page that is asked for, of a file of `pages` pages.
    pub(crate) fn no_page(page: u64, pages: u64) -> Self {
        let place = match pages {
            0 => "the file has no whole page".to_owned(),
            pages => format!("the last is page {}", text::number(pages - 1)),
        };
        Self::NoPage { page, place }
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::UriTooLong => StatusCode::URI_TOO_LONG,
            Self::Host | Self::OtherSite | Self::StaleButton => StatusCode::FORBIDDEN,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Body => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Token => StatusCode::UNAUTHORIZED,
            Self::SpentLink => StatusCode::GONE,
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::NotFound | Self::NoFile(_) | Self::NoPage { .. } | Self::NoTrace => {
                StatusCode::NOT_FOUND
            }
            Self::Query(_) => StatusCode::BAD_REQUEST,
            Self::EventStreams | Self::AheadOfTime => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooLarge | Self::Panic | Self::Render | Self::Forget(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            Self::Look(error) => match error {
                LookError::File { kind, .. } => match kind {
                    ErrorKind::NotFound => StatusCode::NOT_FOUND,
                    ErrorKind::PermissionDenied => StatusCode::FORBIDDEN,
                    _ => StatusCode::BAD_GATEWAY,
                },
                LookError::NoSnapshot(_) => StatusCode::NOT_FOUND,
                LookError::NoImage(_) => StatusCode::BAD_REQUEST,
                LookError::Changing | LookError::Busy => StatusCode::SERVICE_UNAVAILABLE,
                LookError::Sandbox(_) | LookError::Gone => StatusCode::BAD_GATEWAY,
            },
        }
    }

    /// What it is called, in two or three words.
    pub(crate) fn title(&self) -> &'static str {
        match self {
            Self::Host => "Not this viewer's name",
            Self::Token => "Locked",
            Self::StaleButton => "Out of date",
            Self::SpentLink => "Used already",
            Self::AheadOfTime => "Not yet",
            Self::HeadersTooLarge => "Too many cookies",
            Self::NotFound => "Nothing here",
            Self::NoFile(_) => "No such file",
            Self::NoPage { .. } => "No such page",
            Self::EventStreams => "Too many live views",
            Self::Panic | Self::Render => "The viewer failed",
            Self::Look(LookError::File { kind, .. }) => match kind {
                ErrorKind::NotFound => "The file is gone",
                ErrorKind::PermissionDenied => "No permission",
                _ => "The file cannot be read",
            },
            Self::Look(LookError::Changing) => "Changed while reading",
            Self::Look(LookError::Busy) => "Busy",
            Self::Look(LookError::NoSnapshot(_)) => "No such snapshot",
            Self::Look(LookError::NoImage(_)) => "No such moment",
            Self::NoTrace => "No trace",
            Self::Look(_) => "The sandbox stopped",
            _ => "Not possible",
        }
    }

    /// The way onward.
    pub(crate) fn advice(&self) -> &'static str {
        match self {
            Self::UriTooLong => "Go back to the start and come here by its links.",
            Self::Host => {
                "Use the address that the program printed. To be reached by another name, \
                 start it with --allow-host."
            }
            Self::Method | Self::Body => {
                "A viewer only shows: it can change nothing, so there is nothing to send."
            }
            Self::Forget(_) => {
                "It is a file of the user that the viewer runs as: remove it by hand."
            }
            Self::StaleButton => "The program was started anew since. Load the start page again.",
            Self::Token => {
                "Open the link that the program printed when it started, or send the token as \
                 Authorization: Bearer."
            }
            Self::SpentLink => {
                "The link works once. If it was not you who used it, stop the program and start \
                 it again: that makes a new token."
            }
            Self::AheadOfTime => "The link works once, for who follows it. Follow it now.",
            Self::HeadersTooLarge => {
                "A browser sends the cookies of every program of a machine to each of them. Delete \
                 the cookies of this host in the browser's settings, or come here by another name \
                 of the machine, which has cookies of its own: localhost in place of 127.0.0.1, or \
                 127.0.0.1 in place of localhost."
            }
            Self::OtherSite => "Open the address yourself rather than from another site.",
            Self::NotFound => "The start page lists the files, and each of them has its screens.",
            Self::NoFile(_) => {
                "Files are named when the program starts; the start page lists them."
            }
            Self::NoPage { .. } => "The map shows every page that there is.",
            Self::Query(_) => "Correct the address, or start again from the file's overview.",
            Self::EventStreams => {
                "Eight event streams are open already. Close another live view, then reload."
            }
            Self::NoTrace => {
                "Record one: pagebox write FILE ID --record TRACE, or a RecordingStore. Then start \
                 the viewer with it."
            }
            Self::TooLarge => "Ask for less at a time.",
            Self::Panic | Self::Render => {
                "Nothing was changed, and the program goes on. The terminal that it runs in may \
                 say more."
            }
            Self::Look(error) => match error {
                LookError::File { kind, .. } => match kind {
                    ErrorKind::NotFound => "If it was moved, start the viewer with its new place.",
                    ErrorKind::PermissionDenied => {
                        "Let the user that the viewer runs as read the file; reading is enough."
                    }
                    _ => "Reload to try again.",
                },
                LookError::Changing => {
                    "A program is changing the file faster than it can be read as a whole. \
                     Reload to try again; half of one state and half of another is never shown."
                }
                LookError::Busy => "Wait a moment, then reload.",
                LookError::NoSnapshot(_) => {
                    "It was deleted, or never was one of this file. The screen Time lists those \
                     that there are."
                }
                LookError::NoImage(_) => "The simulator shows what there is to choose from.",
                LookError::Sandbox(_) | LookError::Gone => {
                    "Nothing was changed. A new sandbox is made when you reload; if it stops \
                     again, the file holds something that the pager cannot cope with."
                }
            },
        }
    }

    /// The ways onward that the advice speaks of, as links.
    pub(crate) fn ways(&self) -> Vec<Way> {
        match self {
            Self::NoPage { .. } => vec![
                Way::Screen("map", "The map"),
                Way::Screen("page?n=0", "Page 0"),
            ],
            Self::Query(_) | Self::NotFound | Self::NoTrace => {
                vec![Way::Screen("overview", "The file's overview")]
            }
            Self::Look(LookError::NoSnapshot(_)) => vec![
                Way::Screen("time", "The snapshots"),
                Way::Screen("overview", "The file as it is now"),
            ],
            Self::Look(LookError::NoImage(_)) => vec![Way::Screen("crash", "The simulator")],
            Self::EventStreams | Self::Panic | Self::Render | Self::Look(_) | Self::AheadOfTime => {
                vec![Way::Again]
            }
            _ => Vec::new(),
        }
    }
}

/// A way onward.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    /// The same address once more.
    Again,
    /// A screen of the file, and what it is called.
    Screen(&'static str, &'static str),
}
