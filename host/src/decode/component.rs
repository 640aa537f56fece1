//! [`Decoder`]: a page decoder that is a component, in a sandbox.

use wasmtime::component::{Component, InstancePre, Linker};

use crate::Error;
use crate::clock::Ticking;
use crate::config::{Room, config};
use crate::error::clipped;
use crate::limits::Limits;
use crate::os;
use crate::sandbox::{Data, Sandbox, failure};

use self::wit::exports::pagebox::pager::decoder as exported;
use super::{At, Decode, Decoded, Field, Target};

mod wit {
    wasmtime::component::bindgen!({ world: "page-decoder", path: "wit" });
}

/// Fields that a page may have.
const FIELDS_MAX: usize = 4096;

/// Bytes that a kind and a decoder's own name may have.
const NAME_MAX: usize = 64;

/// Bytes that all texts of an answer may have together, with what their records
/// take here.
const ANSWER_MAX: usize = 4 << 20;

/// A page decoder, ready to be asked. Each answer is that of a new instance: no
/// page has a part in what is said of another.
pub struct Decoder {
    name: String,
    pre: InstancePre<Data>,
    exports: exported::GuestIndices,
    limits: Limits,
    ticking: Ticking,
}

impl Decoder {
    /// Compiles a decoder, a component of the world `page-decoder`, and asks what
    /// it is called. Each call of it may use what `limits` say: memory and time.
    /// What else it imports can be linked, but a call of it is a trap.
    ///
    /// How long compiling takes is up to the component, and has no limit.
    ///
    /// # Errors
    /// [`Error::NotADecoder`].
    pub fn new(wasm: &[u8], limits: Limits) -> Result<Self, Error> {
        if limits.time.is_zero() {
            let text = "the limit of time is zero (Limits::time): no call could be made";
            return Err(Error::Other(text.into()));
        }
        let room = if os::limits_addresses() {
            Room::Tight
        } else {
            Room::Ample
        };
        let (pre, exports) = compiled(wasm, room).map_err(|cause| refused(cause.root_cause()))?;
        let ticking = Ticking::start(pre.engine(), limits.time).map_err(refused)?;
        let mut decoder = Self {
            name: String::new(),
            pre,
            exports,
            limits,
            ticking,
        };
        let name = decoder
            .call("saying what it is called", |decoder, store| {
                decoder.call_name(store)
            })
            .map_err(refused)?;
        decoder.name = checked_name(name).map_err(|why| refused(format!("its name {why}")))?;
        Ok(decoder)
    }

    /// Calls a new instance. An error says what happened.
    fn call<R>(
        &self,
        operation: &'static str,
        f: impl FnOnce(&exported::Guest, &mut wasmtime::Store<Data>) -> wasmtime::Result<R>,
    ) -> Result<R, String> {
        if !self.ticking.owner().is_here() {
            return Err("it was made by another process, from which this one was forked".into());
        }
        let sandbox = Sandbox::new(
            &self.limits,
            self.ticking.clock(),
            &self.pre,
            |store, instance| {
                store.set_hostcall_fuel(ANSWER_MAX);
                self.exports.load(store, instance)
            },
        );
        let result = match sandbox {
            Ok(mut sandbox) => sandbox.call(operation, f),
            Err(cause) => Err(failure(operation, &cause)),
        };
        result.map_err(|error| match error {
            Error::Sandbox { cause, .. } if cause.contains("fuel allocated for hostcalls") => {
                format!("it answers more than {} MiB", ANSWER_MAX >> 20)
            }
            Error::Sandbox { cause, .. } => clipped(cause),
            error => error.to_string(),
        })
    }
}

impl Decode for Decoder {
    fn name(&self) -> &str {
        &self.name
    }

    /// What it answers is within the bounds of the WIT: texts that are too long are
    /// cut, control characters are blanks, and a field that reaches past the end
    /// of the page has a problem and ends there. It has failed where it trapped,
    /// took too long, wanted more memory than it may have, or answered what cannot
    /// be.
    fn decode(&self, bytes: &[u8], at: At) -> Result<Option<Decoded>, Error> {
        let failed = |cause| Error::Decoder {
            decoder: self.name.clone(),
            page: at.page,
            cause,
        };
        let page_size = u32::try_from(bytes.len())
            .map_err(|_| failed("the page has too many bytes".to_owned()))?;
        let place = exported::Place {
            page: at.page,
            protected: at.protected,
            page_size,
        };
        let answer = self
            .call("decoding a page", |decoder, store| {
                decoder.call_decode(store, bytes, place)
            })
            .map_err(&failed)?;
        answer
            .map(|decoded| checked(decoded, page_size))
            .transpose()
            .map_err(failed)
    }
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder")
            .field("name", &self.name)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

fn compiled(
    wasm: &[u8],
    room: Room,
) -> wasmtime::Result<(InstancePre<Data>, exported::GuestIndices)> {
    let engine = wasmtime::Engine::new(&config(room))?;
    let component = Component::from_binary(&engine, wasm)?;
    let mut linker = Linker::<Data>::new(&engine);
    linker.define_unknown_imports_as_traps(&component)?;
    let pre = linker.instantiate_pre(&component)?;
    let exports = exported::GuestIndices::new(&pre)?;
    Ok((pre, exports))
}

fn refused(cause: impl std::fmt::Display) -> Error {
    Error::NotADecoder(clipped(cause.to_string()))
}

/// A short name as it is shown; an error ends a sentence.
fn checked_name(name: String) -> Result<String, String> {
    match name.len() {
        0 => Err("is empty".into()),
        1..=NAME_MAX => Ok(clipped(name)),
        len => Err(format!("has {len} bytes, {NAME_MAX} are allowed")),
    }
}

/// What it answered, if that can be.
fn checked(answer: exported::Decoded, page_size: u32) -> Result<Decoded, String> {
    let kind =
        checked_name(answer.kind).map_err(|why| format!("the kind that it answers {why}"))?;
    if !answer.letter.is_ascii_graphic() {
        let letter = answer.letter.escape_unicode();
        return Err(format!(
            "the letter that it answers cannot be shown: {letter}"
        ));
    }
    let count = answer.fields.len();
    if count > FIELDS_MAX {
        return Err(format!(
            "it answers {count} fields, {FIELDS_MAX} are allowed"
        ));
    }
    let fields = answer.fields.into_iter();
    Ok(Decoded {
        kind,
        title: clipped(answer.title),
        letter: answer.letter,
        summary: clipped(answer.summary),
        fields: fields.map(|field| within(field, page_size)).collect(),
    })
}

/// A field as far as it lies in the page.
fn within(field: exported::Field, page_size: u32) -> Field {
    let end = u64::from(field.offset) + u64::from(field.len);
    let offset = field.offset.min(page_size);
    let mut problem = clipped(field.problem);
    if end > u64::from(page_size) {
        let last = end.saturating_sub(1).max(field.offset.into());
        let more = if problem.is_empty() { "" } else { ": " };
        problem = format!(
            "the decoder puts it at bytes {} to {last}, past the end of the page{more}{problem}",
            field.offset
        );
    }
    Field {
        name: clipped(field.name),
        offset,
        len: field.len.min(page_size - offset),
        value: clipped(field.value),
        meaning: clipped(field.meaning),
        refers_to: field.refers_to.map(|target| match target {
            exported::Target::Page(page) => Target::Page(page),
            exported::Target::Protected(id) => Target::Protected(id),
        }),
        problem,
    }
}
