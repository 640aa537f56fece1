//! `pagebox read` and `pagebox write`: the bytes of pages.

use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use pagebox::decode::{At, Decode as _};
use pagebox::{Engine, Error, PageId, PageSize, Pager, ProtectedId};

use super::decoder;
use super::dump::dump;
use super::output::{legible, plural};
use super::record::Record;
use super::streams::Stream;
use super::system::Standard;
use super::{Failure, File, Outcome, Output, Wait};

/// The bytes of a page that a command is about.
#[derive(Args, Debug)]
struct Place {
    /// The page
    #[arg(value_name = "ID")]
    id: u64,
    /// The id is that of a protected page
    #[arg(long)]
    protected: bool,
    /// Start at this byte of the page
    #[arg(long, value_name = "N", default_value_t = 0)]
    offset: usize,
}

impl Place {
    /// Fills `bytes` from here on.
    fn read(&self, pager: &Pager, bytes: &mut [u8]) -> Result<(), Error> {
        if self.protected {
            pager.read_protected(ProtectedId::new(self.id), self.offset, bytes)
        } else {
            pager.read(PageId::new(self.id), self.offset, bytes)
        }
    }

    /// Replaces bytes from here on, durably.
    fn write(&self, pager: &mut Pager, bytes: &[u8]) -> Result<(), Error> {
        if self.protected {
            let id = ProtectedId::new(self.id);
            let page_size = pager.page_size().bytes();
            if self.offset == 0 && bytes.len() == page_size {
                // Whatever it holds: that mends a page that went bad.
                let mut tx = pager.begin()?;
                tx.replace(id, bytes)?;
                tx.commit()?;
                return Ok(());
            }
            let past_end = Error::PastPageEnd {
                offset: self.offset,
                len: bytes.len(),
                page_size,
            };
            let mut tx = pager.begin()?;
            tx.write(id)?
                .get_mut(self.offset..)
                .and_then(|rest| rest.get_mut(..bytes.len()))
                .ok_or(past_end)?
                .copy_from_slice(bytes);
            tx.commit()?;
        } else {
            pager.write(PageId::new(self.id), self.offset, bytes)?;
            pager.sync()?;
        }
        Ok(())
    }

    /// Bytes from here to the end of the page.
    fn room(&self, page_size: PageSize) -> Result<usize, Error> {
        let page_size = page_size.bytes();
        let past_end = Error::PastPageEnd {
            offset: self.offset,
            len: 0,
            page_size,
        };
        page_size.checked_sub(self.offset).ok_or(past_end)
    }
}

/// Print the bytes of a page, or what they mean
///
/// Raw, unless --hex asks for a dump. Takes no lock, and works on damaged files
/// as far as their bytes prove themselves.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  pagebox read data.pages 15 > page.bin
  pagebox read data.pages 15 --hex --len 64
  pagebox read data.pages 0 --protected
  pagebox read data.pages 0 --protected --snapshot monday
  pagebox read messages.pages 0 --protected --decoder queue_decoder.wasm")]
pub(crate) struct Read {
    #[command(flatten)]
    file: File,
    #[command(flatten)]
    place: Place,
    /// As it was in this snapshot, which has protected pages only
    #[arg(
        long,
        value_name = "NAME",
        requires = "protected",
        allow_hyphen_values = true
    )]
    snapshot: Option<String>,
    /// So many bytes; all to the end of the page unless given
    #[arg(long, value_name = "N")]
    len: Option<usize>,
    /// A hex dump instead of the raw bytes
    #[arg(long)]
    hex: bool,
    /// What this page decoder makes of the page, a WebAssembly component of the world
    /// `page-decoder`, instead of the bytes
    #[arg(long, value_name = "DECODER.wasm", conflicts_with_all = ["hex", "len", "offset"])]
    decoder: Option<PathBuf>,
    /// JSON, for programs: null where the decoder does not know the page
    #[arg(long, requires = "decoder")]
    json: bool,
}

impl Read {
    pub(crate) fn run(&self, output: &mut Output) -> Outcome {
        if let Some(decoder) = &self.decoder {
            return self.decode(output, decoder);
        }
        let bytes = self.bytes().map_err(Failure::of(&self.file.path))?;
        if self.hex {
            dump(output, self.place.offset, &bytes)?;
        } else {
            output.write_all(&bytes)?;
        }
        Ok(())
    }

    fn decode(&self, output: &mut Output, decoder: &Path) -> Outcome {
        let decoder = decoder::load(decoder)?;
        let bytes = self.bytes().map_err(Failure::of(&self.file.path))?;
        let at = self.at().map_err(Failure::of(&self.file.path))?;
        let decoded = decoder.decode(&bytes, at);
        let decoded = decoded.map_err(Failure::of(&self.file.path))?;
        if self.json {
            output.json(&decoded)?;
        } else if let Some(decoded) = &decoded {
            decoder::print(output, decoded)?;
        } else {
            let name = legible(decoder.name());
            writeln!(output, "none of the pages that the decoder {name} knows")?;
        }
        Ok(())
    }

    /// Which page it is, as a decoder is told.
    fn at(&self) -> Result<At, Error> {
        let Place { id, protected, .. } = self.place;
        if !protected {
            return Ok(At {
                page: Some(id),
                protected: None,
            });
        }
        let mut inspector = Engine::new()?.inspect(&self.file.path)?;
        if let Some(name) = &self.snapshot {
            inspector.show_snapshot(name)?;
        }
        let entry = inspector.directory(id, 1, false)?.into_iter().next();
        Ok(At {
            page: entry
                .filter(|entry| entry.id == id)
                .and_then(|entry| entry.page),
            protected: Some(id),
        })
    }

    fn bytes(&self) -> Result<Vec<u8>, Error> {
        let (engine, path) = (Engine::new()?, &self.file.path);
        let Some(name) = &self.snapshot else {
            return engine.read_with(path, |pager| {
                let mut bytes = self.room(pager.page_size())?;
                self.place.read(pager, &mut bytes)?;
                Ok(bytes)
            });
        };
        let snapshot = engine.open_snapshot(path, name)?;
        let mut bytes = self.room(snapshot.page_size())?;
        let id = ProtectedId::new(self.place.id);
        snapshot.read_protected(id, self.place.offset, &mut bytes)?;
        Ok(bytes)
    }

    /// As many bytes as are asked for, if a page has them.
    fn room(&self, page_size: PageSize) -> Result<Vec<u8>, Error> {
        let room = self.place.room(page_size)?;
        let len = self.len.unwrap_or(room);
        if len > room {
            return Err(Error::PastPageEnd {
                offset: self.place.offset,
                len,
                page_size: page_size.bytes(),
            });
        }
        Ok(vec![0; len])
    }
}

/// Write standard input to a page
///
/// The other bytes of the page stay as they are. Durable when it returns; a
/// protected page is written atomically, and one whose bytes went bad can be
/// written whole. More bytes than fit are an error, and change nothing.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  echo hello | pagebox write data.pages 15
  pagebox write data.pages 15 --offset 512 < part.bin
  pagebox write data.pages 0 --protected < page.bin
  pagebox write data.pages 0 --protected --record commit.trace < page.bin")]
pub(crate) struct Write {
    #[command(flatten)]
    file: File,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    record: Record,
}

impl Write {
    pub(crate) fn run(&self, output: &mut Output, wait: Wait) -> Outcome {
        let path = &self.file.path;
        output.require()?;
        let engine = Engine::new().map_err(Failure::of(path))?;
        // Before the input, which may take its time: the file is not locked
        // meanwhile, and what cannot be done is said at once.
        let room = self.room(&engine).map_err(Failure::of(path))?;
        let bytes = input(room).map_err(Failure::Input)?;
        if bytes.len() > room {
            return Err(self.too_long(path, room));
        }
        self.record
            .change(path, wait, |pager| self.place.write(pager, &bytes))?;
        output.done("it is written all the same");
        let kind = if self.place.protected {
            "protected page"
        } else {
            "page"
        };
        writeln!(
            output,
            "wrote {} to {kind} {}",
            plural(bytes.len() as u64, "byte"),
            self.place.id
        )?;
        Ok(())
    }

    fn room(&self, engine: &Engine) -> Result<usize, Error> {
        engine.read_with(&self.file.path, |pager| {
            let room = self.place.room(pager.page_size())?;
            match self.place.read(pager, &mut []) {
                // Bytes that went bad can be replaced by a whole page.
                Err(Error::ChecksumMismatch { .. }) if self.place.offset == 0 => {}
                read => read?,
            }
            Ok(room)
        })
    }

    fn too_long(&self, path: &Path, room: usize) -> Failure {
        let room = plural(room as u64, "byte");
        let Place { id, offset, .. } = self.place;
        let text = format!(
            "standard input is longer than the {room} of page {id} from offset {offset} on: \
             nothing was written"
        );
        Failure::Request {
            path: path.to_owned(),
            text,
        }
    }
}

/// Standard input, and at most a byte more of it than there is room for.
fn input(room: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    Stream::new(Standard::Input)
        .take(room as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}
