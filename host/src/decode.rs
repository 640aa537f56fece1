//! Page decoders: what lies in the pages of a program, said by that program's
//! own code.
//!
//! A [`Decode`] is handed bytes and answers. With the feature `compile` a
//! `Decoder` is one: a component of the world `page-decoder` in a sandbox, which
//! reaches no file, no other page and no clock.
//!
//! ```no_run
//! # #[cfg(feature = "compile")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use pagebox::decode::{At, Decode as _, Decoder};
//!
//! let decoder = Decoder::new(&std::fs::read("queue.wasm")?, pagebox::Limits::default())?;
//! let pager = pagebox::Engine::new()?.open_read_only("messages.pages")?;
//! let at = At { page: Some(7), protected: None };
//! let mut bytes = vec![0; 4096];
//! pager.read(pagebox::PageId::new(7), 0, &mut bytes)?;
//! if let Some(decoded) = decoder.decode(&bytes, at)? {
//!     println!("{}: {}", decoded.title, decoded.summary);
//! }
//! # Ok(()) }
//! # #[cfg(not(feature = "compile"))]
//! # fn main() {}
//! ```

use serde::Serialize;

use crate::Error;

#[cfg(feature = "compile")]
mod component;

#[cfg(feature = "compile")]
pub use component::Decoder;

/// Says what lies in pages.
pub trait Decode: Send + Sync {
    /// What it calls itself, in 1 to 64 bytes.
    fn name(&self) -> &str;

    /// What it makes of the bytes of a page; none: it is not one of those that
    /// it knows.
    ///
    /// # Errors
    /// [`Error::Decoder`], where it could not answer.
    fn decode(&self, bytes: &[u8], at: At) -> Result<Option<Decoded>, Error>;
}

/// Which page a decoder is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// The page in the file; none of a protected page that has none, since its
    /// bytes are zeros.
    pub page: Option<u64>,
    /// The protected page whose bytes they are; none of a regular page.
    pub protected: Option<u64>,
}

/// What a decoder makes of a page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decoded {
    /// A short name of what it is: `leaf`. 1 to 64 bytes.
    pub kind: String,
    /// A title for people.
    pub title: String,
    /// What stands for the kind in maps: a printable character of ASCII.
    pub letter: char,
    /// What is in it, in a sentence.
    pub summary: String,
    /// Its parts, at most 4,096.
    pub fields: Vec<Field>,
}

/// A part of what lies in a page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Field {
    /// What it is called.
    pub name: String,
    /// Where it is in the page, in bytes.
    pub offset: u32,
    /// How many bytes, all of them in the page.
    pub len: u32,
    /// The value, for people.
    pub value: String,
    /// What it means; empty where the name says it.
    pub meaning: String,
    /// The page that the value names, which need not be there.
    pub refers_to: Option<Target>,
    /// What is wrong with it; empty where nothing is.
    pub problem: String,
}

/// A page that a value names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// A page of the file, by its number.
    Page(u64),
    /// A protected page, by its id.
    Protected(u64),
}
