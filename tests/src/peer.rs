//! The peer, `mappedpages` 0.2.0: what it can be told, in this process (on
//! files that are known to be good) or in one of its own (on any file: it
//! panics on bad ones, and may die of a bus error).

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::str::FromStr;

use mappedpages::{PageId, Pager, ProtectedPageId};

use crate::rng::Rng;

/// Something that the peer can be told to do to the file that it has open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Allocate so many regular pages.
    Alloc(u64),
    /// Free regular pages.
    Free(Vec<u64>),
    /// Allocate so many protected pages.
    AllocProtected(u64),
    /// Free protected pages.
    FreeProtected(Vec<u64>),
    /// Write the first bytes of a regular page.
    Write(Fill),
    /// Write the first bytes of a protected page, and commit. What follows them
    /// is as it was two commits ago.
    WriteProtected(Fill),
}

impl Op {
    /// Something that the peer can do to a file with these pages, all of it
    /// well. Protected pages are written whole unless `in_part`.
    pub fn random(
        rng: &mut Rng,
        regular: &[u64],
        protected: &[u64],
        page_size: usize,
        in_part: bool,
    ) -> Self {
        let fill = |rng: &mut Rng, from: &[u64], in_part: bool| Fill {
            id: *rng.pick(from),
            len: if in_part {
                rng.between(1, page_size as u64) as usize
            } else {
                page_size
            },
            seed: rng.next_u64(),
        };
        match rng.below(8) {
            0 | 1 if !regular.is_empty() => Self::Free(rng.pick_some(regular, 4)),
            2 if !protected.is_empty() => Self::FreeProtected(rng.pick_some(protected, 3)),
            3 if !regular.is_empty() => Self::Write(fill(rng, regular, true)),
            4 | 5 if !protected.is_empty() => Self::WriteProtected(fill(rng, protected, in_part)),
            6 => Self::AllocProtected(rng.between(1, 3)),
            _ => Self::Alloc(rng.between(1, 5)),
        }
    }
}

/// Random bytes for the start of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// The page's or the protected page's number.
    pub id: u64,
    /// How many bytes.
    pub len: usize,
    /// Which bytes.
    pub seed: u64,
}

impl Fill {
    /// The bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len];
        Rng::new(self.seed).fill(&mut bytes);
        bytes
    }
}

/// What the peer sees in a file. Pages are given as the CRC-32 of their bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Pages that the file accounts for.
    pub page_count: u64,
    /// How many of them are free, it says.
    pub free_count: u64,
    /// The regular pages.
    pub regular: BTreeMap<u64, u32>,
    /// The protected pages.
    pub protected: BTreeMap<u64, u32>,
}

/// A file that the peer has open. Errors are the peer's, as text.
pub trait Peer {
    /// Does something. Returns the ids that it allocated.
    fn run(&mut self, op: &Op) -> Result<Vec<u64>, String>;

    /// Looks at everything.
    fn see(&mut self) -> Result<Seen, String>;
}

/// How the peer gets its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It makes a new one.
    Create,
    /// It opens an existing one.
    Open,
}

/// Starts the peer in this process. Only for page sizes of 1, 4, 16, 64 KiB.
pub fn in_process(how: How, path: &Path, page_size: usize) -> Result<Box<dyn Peer>, String> {
    fn start<const P: usize>(how: How, path: &Path) -> Result<Box<dyn Peer>, String> {
        let pager = match how {
            How::Create => Pager::<P>::create(path),
            How::Open => Pager::<P>::open(path),
        };
        pager
            .map(|pager| Box::new(pager) as Box<dyn Peer>)
            .map_err(text)
    }
    match page_size {
        0x400 => start::<0x400>(how, path),
        0x1000 => start::<0x1000>(how, path),
        0x4000 => start::<0x4000>(how, path),
        0x1_0000 => start::<0x1_0000>(how, path),
        _ => panic!("the peer is not built for pages of {page_size} bytes"),
    }
}

fn text(error: impl fmt::Display) -> String {
    error.to_string()
}

impl<const P: usize> Peer for Pager<P> {
    fn run(&mut self, op: &Op) -> Result<Vec<u64>, String> {
        let regular = |ids: &[u64]| ids.iter().map(|&id| PageId(id)).collect();
        let protected = |ids: &[u64]| ids.iter().map(|&id| ProtectedPageId(id)).collect();
        match op {
            Op::Alloc(count) => {
                let ids = self.alloc_bulk(*count as usize).map_err(text)?;
                return Ok(ids.iter().map(|id| id.0).collect());
            }
            Op::AllocProtected(count) => {
                let ids = self.alloc_protected_bulk(*count as usize).map_err(text)?;
                return Ok(ids.iter().map(|id| id.0).collect());
            }
            Op::Free(ids) => self.free_bulk(regular(ids)).map_err(text)?,
            Op::FreeProtected(ids) => self.free_protected_bulk(protected(ids)).map_err(text)?,
            Op::Write(fill) => {
                let page = PageId(fill.id).get_mut(self).map_err(text)?;
                page.as_bytes_mut()[..fill.len].copy_from_slice(&fill.bytes());
            }
            Op::WriteProtected(fill) => {
                let mut writer = ProtectedPageId(fill.id).get_mut(self).map_err(text)?;
                writer.page_mut().as_bytes_mut()[..fill.len].copy_from_slice(&fill.bytes());
                writer.commit().map_err(text)?;
            }
        }
        Ok(Vec::new())
    }

    fn see(&mut self) -> Result<Seen, String> {
        let mut seen = Seen {
            page_count: self.page_count(),
            free_count: self.free_page_count(),
            ..Seen::default()
        };
        for id in self.iter_allocated_pages() {
            let page = id.get(self).map_err(text)?;
            seen.regular.insert(id.0, crc32fast::hash(page.as_bytes()));
        }
        for id in self.iter_allocated_protected_pages() {
            let page = id.get(self).map_err(text)?;
            seen.protected
                .insert(id.0, crc32fast::hash(page.as_bytes()));
        }
        Ok(seen)
    }
}

/// The peer in a process of its own: the program `peer` of this package.
///
/// It is told what to do in lines, and answers each with one: `ok`, followed by
/// numbers, or `error`, followed by text.
#[derive(Debug)]
pub struct PeerProcess {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl PeerProcess {
    /// Starts `program`. Only tests of this package know where that is: at
    /// `env!("CARGO_BIN_EXE_peer")`.
    pub fn start(program: &str) -> Self {
        let mut child = Command::new(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the peer's program was built with this test");
        let requests = child.stdin.take().expect("its input is a pipe");
        let answers = BufReader::new(child.stdout.take().expect("its output is a pipe"));
        Self {
            child,
            requests,
            answers,
        }
    }

    /// Lets it close the file it has, and create or open another.
    pub fn file(&mut self, how: How, path: &Path, page_size: usize) -> Result<(), String> {
        let path = path.to_str().expect("tests choose paths that are text");
        let how = if how == How::Create { "create" } else { "open" };
        self.ask(&format!("{how} {page_size} {path}")).map(drop)
    }

    fn ask(&mut self, request: &str) -> Result<Vec<u64>, String> {
        // Where it died, the answer says so.
        let _ = writeln!(self.requests, "{request}");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).map_err(text)?;
        if answer.is_empty() {
            let status = self.child.wait().map_err(text)?;
            return Err(format!("the peer died at {request:?}: {status}"));
        }
        let answer = answer.trim_end();
        match answer.split_once(' ').unwrap_or((answer, "")) {
            ("ok", numbers) => numbers_of(numbers),
            ("error", text) => Err(text.into()),
            _ => Err(format!("the peer said {answer:?}")),
        }
    }
}

impl Peer for PeerProcess {
    fn run(&mut self, op: &Op) -> Result<Vec<u64>, String> {
        self.ask(&op.to_string())
    }

    fn see(&mut self) -> Result<Seen, String> {
        let numbers = self.ask("see")?;
        let (head, pages) = numbers.split_at(3);
        let (regular, protected) = pages.split_at(2 * head[2] as usize);
        let map = |pairs: &[u64]| {
            pairs
                .chunks(2)
                .map(|pair| (pair[0], pair[1] as u32))
                .collect()
        };
        Ok(Seen {
            page_count: head[0],
            free_count: head[1],
            regular: map(regular),
            protected: map(protected),
        })
    }
}

impl Drop for PeerProcess {
    fn drop(&mut self) {
        // It may be dead already, or hang on a file that no test foresaw.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The other end of a [`PeerProcess`]: does what the lines of `requests` say.
pub fn serve(requests: impl BufRead, mut answers: impl Write) -> std::io::Result<()> {
    let mut open: Option<Box<dyn Peer>> = None;
    for request in requests.lines() {
        match answer(&request?, &mut open) {
            Ok(numbers) => {
                let numbers: Vec<_> = numbers.iter().map(u64::to_string).collect();
                writeln!(answers, "ok {}", numbers.join(" "))?;
            }
            Err(text) => writeln!(answers, "error {text}")?,
        }
        answers.flush()?;
    }
    Ok(())
}

fn answer(request: &str, open: &mut Option<Box<dyn Peer>>) -> Result<Vec<u64>, String> {
    let (verb, rest) = request.split_once(' ').unwrap_or((request, ""));
    if verb == "create" || verb == "open" {
        *open = None;
        let how = if verb == "create" {
            How::Create
        } else {
            How::Open
        };
        let (page_size, path) = rest.split_once(' ').ok_or("no path")?;
        *open = Some(in_process(
            how,
            Path::new(path),
            page_size.parse().map_err(text)?,
        )?);
        return Ok(Vec::new());
    }
    let peer = open.as_mut().ok_or("no file is open")?;
    if verb == "see" {
        let seen = peer.see()?;
        let mut numbers = vec![seen.page_count, seen.free_count, seen.regular.len() as u64];
        for (id, crc) in seen.regular.into_iter().chain(seen.protected) {
            numbers.extend([id, crc.into()]);
        }
        return Ok(numbers);
    }
    peer.run(&request.parse()?)
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verb, numbers) = match self {
            Self::Alloc(count) => ("alloc", vec![*count]),
            Self::Free(ids) => ("free", ids.clone()),
            Self::AllocProtected(count) => ("alloc-protected", vec![*count]),
            Self::FreeProtected(ids) => ("free-protected", ids.clone()),
            Self::Write(fill) => ("write", vec![fill.id, fill.len as u64, fill.seed]),
            Self::WriteProtected(fill) => {
                ("write-protected", vec![fill.id, fill.len as u64, fill.seed])
            }
        };
        f.write_str(verb)?;
        numbers.iter().try_for_each(|number| write!(f, " {number}"))
    }
}

impl FromStr for Op {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let (verb, numbers) = line.split_once(' ').unwrap_or((line, ""));
        let numbers = numbers_of(numbers)?;
        let fill = |of: fn(Fill) -> Self| match numbers[..] {
            [id, len, seed] => Ok(of(Fill {
                id,
                len: len as usize,
                seed,
            })),
            _ => Err(format!("{line:?} does not have three numbers")),
        };
        match (verb, &numbers[..]) {
            ("alloc", &[count]) => Ok(Self::Alloc(count)),
            ("alloc-protected", &[count]) => Ok(Self::AllocProtected(count)),
            ("free", _) => Ok(Self::Free(numbers)),
            ("free-protected", _) => Ok(Self::FreeProtected(numbers)),
            ("write", _) => fill(Self::Write),
            ("write-protected", _) => fill(Self::WriteProtected),
            _ => Err(format!("{line:?} is not understood")),
        }
    }
}

fn numbers_of(text: &str) -> Result<Vec<u64>, String> {
    text.split_whitespace()
        .map(|number| number.parse().map_err(self::text))
        .collect()
}
