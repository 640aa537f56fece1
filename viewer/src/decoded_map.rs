//! The kind of each page by the program's own decoder, for the map. It knows pages
//! and what a decoder said of them; of screens and addresses it knows nothing.
//!
//! A decoder may take long at each page, and each commit makes another state. So
//! what it said is kept by what the page held: of a new state it is asked about
//! those pages alone that are not what they were.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use pagebox::decode::{At, Decode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    inspect::{PageKind, Tile},
    legend::{LETTERED, Legend},
    look::{Look, LookError},
    text,
};

/// The most pages that a decoder is asked about for a map.
const ASKED_MAX: usize = 1 << 18;

/// Kinds that are told apart, as in a check.
const KINDS_MAX: usize = 64;

/// How often it may fail before it is asked no more, as in a check.
const FAILURES_MAX: usize = 16;

/// How much is read of what says which pages there are, at a time.
const KINDS_READ: u32 = 65_536;
const ENTRIES_READ: u32 = 1000;

/// The code of the first kind of the decoder; the others follow.
const FIRST: u8 = 100;

/// A kind of those that every map by a decoder has.
struct Other {
    code: u8,
    name: &'static str,
    class: &'static str,
    letter: &'static str,
    about: &'static str,
}

const FREE: u8 = 200;
const PAGER: u8 = 201;
const NOT_KNOWN: u8 = 202;
const FAILED: u8 = 203;
const NOT_ASKED: u8 = 204;
const UNKNOWN: u8 = 205;
const MORE: u8 = 206;

const OTHERS: [Other; 7] = [
    Other {
        code: MORE,
        name: "more-kinds",
        class: "metadata",
        letter: "+",
        about: "of a kind beyond the first 64 that the decoder named",
    },
    Other {
        code: NOT_KNOWN,
        name: "not-known-to-it",
        class: "slack",
        letter: "-",
        about: "the program's, but none of the pages that the decoder knows",
    },
    Other {
        code: FAILED,
        name: "failed",
        class: "missing",
        letter: "!",
        about: "the decoder failed at this page",
    },
    Other {
        code: NOT_ASKED,
        name: "not-asked",
        class: "other",
        letter: "_",
        about: "the decoder was not asked about this page",
    },
    Other {
        code: PAGER,
        name: "the-pager's",
        class: "age-unknown",
        letter: "p",
        about: "no page of the program: the pager's own, another copy, or of another state",
    },
    Other {
        code: FREE,
        name: "free",
        class: "free",
        letter: ".",
        about: "nobody's",
    },
    Other {
        code: UNKNOWN,
        name: "unknown",
        class: "unknown",
        letter: "?",
        about: "it cannot be read whose page it is",
    },
];

/// What a decoder said, of one file.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// The kinds, in the order in which they were first seen.
    kinds: Vec<Kind>,
    /// Of each page: what it held, as a number, and the code of its kind then.
    pages: HashMap<u64, (u64, u8)>,
}

/// A kind of pages, by a decoder.
#[derive(Debug, PartialEq, Eq)]
struct Kind {
    name: String,
    letter: char,
}

impl Memory {
    /// The code of a kind; there may be too many.
    fn code_of(&mut self, kind: Kind) -> u8 {
        let known = self.kinds.iter().position(|each| each.name == kind.name);
        let place = match known {
            Some(place) => place,
            None if self.kinds.len() < KINDS_MAX => {
                self.kinds.push(kind);
                self.kinds.len() - 1
            }
            None => return MORE,
        };
        u8::try_from(place).map_or(MORE, |place| FIRST + place)
    }
}

/// A memory that the states of a file share.
pub(crate) type Shared = Arc<Mutex<Memory>>;

/// A page that the decoder is to be asked about.
#[derive(Clone, Copy, Debug)]
struct Ask {
    page: u64,
    protected: Option<u64>,
    /// What it holds, as a number, where that is known without reading it.
    held: Option<u64>,
}

/// The kinds of all pages in one state of a file, as far as the decoder was asked.
#[derive(Debug)]
pub(crate) struct DecodedMap {
    page_size: u32,
    codes: Vec<u8>,
    asks: Vec<Ask>,
    done: usize,
    failures: usize,
    memory: Shared,
}

/// How far the decoder was asked about the pages of a file.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(crate) struct AskedPages {
    /// Whether it is asked no more.
    pub(crate) complete: bool,
    /// Pages that it was asked about.
    pub(crate) done: usize,
    /// Pages that it is to be asked about, at most 262,144.
    pub(crate) pages: usize,
    /// Whether it is not asked about the rest, since it failed too often.
    pub(crate) given_up: bool,
}

impl DecodedMap {
    /// Finds out which pages of a state the decoder is to be asked about.
    pub(crate) fn of(look: &mut dyn Look, memory: &Shared) -> Result<Self, LookError> {
        let mut map = Self {
            page_size: look.summary()?.page_size,
            codes: Vec::new(),
            asks: Vec::new(),
            done: 0,
            failures: 0,
            memory: Arc::clone(memory),
        };
        let code_of: HashMap<u8, u8> = look
            .page_kinds()?
            .into_iter()
            .map(|kind| {
                let code = match kind.name.as_str() {
                    "regular" => NOT_ASKED,
                    "free" => FREE,
                    "unknown" | "missing" => UNKNOWN,
                    _ => PAGER,
                };
                (kind.code, code)
            })
            .collect();
        loop {
            let part = look.kinds(map.codes.len() as u64, KINDS_READ)?;
            if part.is_empty() {
                break;
            }
            let codes = part.iter().map(|code| code_of.get(code).copied());
            map.codes.extend(codes.map(|code| code.unwrap_or(UNKNOWN)));
        }
        map.ask_about_protected(look)?;
        let regular = (0..)
            .zip(&map.codes)
            .filter(|(_, code)| **code == NOT_ASKED);
        let room = ASKED_MAX.saturating_sub(map.asks.len());
        let regular = regular.take(room).map(|(page, _)| Ask {
            page,
            protected: None,
            held: None,
        });
        let regular: Vec<Ask> = regular.collect();
        map.asks.extend(regular);
        // In the order of the map, so that what is known of it is a part without gaps.
        map.asks.sort_unstable_by_key(|ask| ask.page);
        for ask in &map.asks {
            if ask.protected.is_some()
                && let Some(code) = at(&mut map.codes, ask.page)
            {
                *code = NOT_ASKED;
            }
        }
        Ok(map)
    }

    fn ask_about_protected(&mut self, look: &mut dyn Look) -> Result<(), LookError> {
        let mut start = 0;
        while self.asks.len() < ASKED_MAX {
            let part = look.directory(start, ENTRIES_READ, false)?;
            let Some(last) = part.last() else { break };
            start = last.id.saturating_add(1);
            let asks = part.iter().filter_map(|entry| {
                let sound = entry.problem.is_empty();
                Some(Ask {
                    page: entry.page?,
                    protected: Some(entry.id),
                    // What a checksum is of is not looked at twice.
                    held: sound
                        .then(|| number(&(entry.id, entry.generation, entry.checksum.to_string()))),
                })
            });
            self.asks.extend(asks);
        }
        self.asks.truncate(ASKED_MAX);
        Ok(())
    }

    /// Asks about the next page. Returns whether there are more.
    pub(crate) fn step(
        &mut self,
        look: &mut dyn Look,
        decoder: &dyn Decode,
    ) -> Result<bool, LookError> {
        let Some(ask) = self.asks.get(self.done).copied() else {
            return Ok(false);
        };
        let code = self.asked(look, decoder, ask)?;
        if code == FAILED {
            self.failures += 1;
        }
        if let Some(place) = at(&mut self.codes, ask.page) {
            *place = code;
        }
        self.done += 1;
        Ok(!self.progress().complete)
    }

    fn asked(
        &mut self,
        look: &mut dyn Look,
        decoder: &dyn Decode,
        ask: Ask,
    ) -> Result<u8, LookError> {
        if let Some(held) = ask.held
            && let Some(code) = self.remembered(ask.page, held)
        {
            return Ok(code);
        }
        let bytes = look.bytes(ask.page, 0, self.page_size)?;
        // The file ends within the page.
        if u32::try_from(bytes.len()) != Ok(self.page_size) {
            return Ok(UNKNOWN);
        }
        let held = ask.held.unwrap_or_else(|| number(&(ask.protected, &bytes)));
        if let Some(code) = self.remembered(ask.page, held) {
            return Ok(code);
        }
        let place = At {
            page: Some(ask.page),
            protected: ask.protected,
        };
        let answer = decoder.decode(&bytes, place);
        let mut memory = self.memory();
        let code = match answer {
            Err(_) => return Ok(FAILED),
            Ok(None) => NOT_KNOWN,
            Ok(Some(decoded)) => memory.code_of(Kind {
                name: name_of(&decoded.kind),
                letter: decoded.letter,
            }),
        };
        memory.pages.insert(ask.page, (held, code));
        Ok(code)
    }

    fn remembered(&self, page: u64, held: u64) -> Option<u8> {
        let memory = self.memory();
        let (then, code) = memory.pages.get(&page)?;
        (*then == held).then_some(*code)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far the decoder was asked.
    pub(crate) fn progress(&self) -> AskedPages {
        let given_up = self.failures >= FAILURES_MAX;
        AskedPages {
            complete: given_up || self.done == self.asks.len(),
            done: self.done,
            pages: self.asks.len(),
            given_up,
        }
    }

    /// The kinds, with counts that sum to all pages.
    pub(crate) fn legend(&self, decoder: &str) -> Legend {
        let mut counts = [0; 256];
        for code in &self.codes {
            counts[usize::from(*code)] += 1;
        }
        let about = format!("so says {}", text::visible(decoder));
        let memory = self.memory();
        let own = memory
            .kinds
            .iter()
            .zip(FIRST..)
            .zip(LETTERED.iter().cycle());
        let own = own.map(|((kind, code), class)| {
            (
                PageKind {
                    code,
                    name: kind.name.clone(),
                    letter: kind.letter.to_string(),
                    description: about.clone(),
                    count: counts[usize::from(code)],
                },
                *class,
            )
        });
        let others = OTHERS.iter().map(|other| {
            (
                PageKind {
                    code: other.code,
                    name: other.name.to_owned(),
                    letter: other.letter.to_owned(),
                    description: other.about.to_owned(),
                    count: counts[usize::from(other.code)],
                },
                other.class,
            )
        });
        Legend::drawn(own.chain(others).collect())
    }

    /// Tiles with the kind that most of their pages have by the decoder.
    pub(crate) fn recoded(&self, mut tiles: Vec<Tile>) -> Vec<Tile> {
        for tile in &mut tiles {
            let mut counts = [0_u64; 256];
            let place = |page| {
                usize::try_from(page)
                    .unwrap_or(usize::MAX)
                    .min(self.codes.len())
            };
            let inside = place(tile.first)..place(tile.first.saturating_add(tile.count));
            for code in self.codes.get(inside).unwrap_or_default() {
                counts[usize::from(*code)] += 1;
            }
            // Of as many as of another: the one that comes first, which is the decoder's.
            let most = (0..=u8::MAX)
                .rev()
                .max_by_key(|code| counts[usize::from(*code)]);
            tile.kind = most.unwrap_or(UNKNOWN);
        }
        tiles
    }
}

fn at(codes: &mut [u8], page: u64) -> Option<&mut u8> {
    codes.get_mut(usize::try_from(page).ok()?)
}

fn number(held: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    held.hash(&mut hasher);
    hasher.finish()
}

/// A kind as it is shown: not as one that every map has.
fn name_of(kind: &str) -> String {
    let name = text::visible(kind);
    if OTHERS.iter().any(|other| other.name == name) {
        format!("{name} (decoder)")
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(name: &str) -> Kind {
        Kind {
            name: name_of(name),
            letter: 'k',
        }
    }

    #[test]
    fn kinds_have_codes_of_their_own_as_far_as_there_are_some() {
        let mut memory = Memory::default();
        let names: Vec<String> = (0..100).map(|place| format!("kind {place}")).collect();
        let codes: Vec<u8> = names
            .iter()
            .map(|name| memory.code_of(kind(name)))
            .collect();
        assert_eq!(codes[..64], (100..164).collect::<Vec<u8>>());
        assert!(codes[64..].iter().all(|code| *code == MORE));
        assert_eq!(memory.code_of(kind("kind 3")), 103);
    }

    /// Else a kind of the decoder would be taken for one that every map has.
    #[test]
    fn kind_that_is_called_like_one_of_every_map_is_told_apart() {
        for other in &OTHERS {
            assert_eq!(name_of(other.name), format!("{} (decoder)", other.name));
        }
        assert_eq!(name_of("leaf\u{202e}"), "leaf\u{ab}U+202E\u{bb}");
    }

    #[test]
    fn tile_has_the_kind_that_most_of_its_pages_have() {
        let tile = |first, count| Tile {
            first,
            count,
            kind: 0,
            worst: None,
            used: 0,
        };
        let map = DecodedMap {
            page_size: 4096,
            codes: vec![PAGER, 101, 101, 100, FREE, FREE, 100, 101],
            asks: Vec::new(),
            done: 0,
            failures: 0,
            memory: Shared::default(),
        };
        let tiles = vec![tile(0, 4), tile(4, 4), tile(6, 2)];
        let kinds: Vec<u8> = map.recoded(tiles).iter().map(|tile| tile.kind).collect();
        // Of two, as many of each: the decoder's first.
        assert_eq!(kinds, [101, FREE, 100]);
    }
}
