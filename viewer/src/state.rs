//! What a viewer is made of: its files, its secret, its limits. Shared by all
//! requests.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use pagebox::{Engine, decode::Decode};
use tokio::sync::{Semaphore, watch};

use crate::{
    choice::{BEGINS, Choice},
    head::FileName,
    host_name::HostName,
    live::Live,
    look::{LookError, Target},
    recent::Recent,
    sandbox::PageFile,
    simulator::{self, Chosen, Simulator},
    source::Source,
    text,
    token::Token,
};

/// How many event streams may be open at a time.
pub const EVENT_STREAMS_MAX: usize = 8;

/// How many images of traces are kept, each with a thread and a sandbox.
const IMAGES_MAX: usize = 8;

/// A viewer's files and settings, from which [`crate::router`] makes routes.
pub struct Builder {
    files: Vec<File>,
    base: String,
    allowed_hosts: Vec<HostName>,
    token: Option<Token>,
    demo: bool,
    engine: Option<Engine>,
    recent: Option<Recent>,
    decoder: Option<Arc<dyn Decode>>,
}

impl Builder {
    /// A viewer of no files, for requests to this machine's own names.
    pub fn new() -> Self {
        Self {
            files: Vec::new(),
            base: String::new(),
            allowed_hosts: Vec::new(),
            token: None,
            demo: false,
            engine: None,
            recent: None,
            decoder: None,
        }
    }

    /// Below which path the router answers: `/pages`. At the root unless said
    /// otherwise.
    #[must_use]
    pub fn base(mut self, base: &str) -> Self {
        let path = base.trim_matches('/');
        self.base = if path.is_empty() {
            String::new()
        } else {
            format!("/{path}")
        };
        self
    }

    /// Answers requests that name this host too, on any port.
    #[must_use]
    pub fn allow_host(mut self, host: HostName) -> Self {
        self.allowed_hosts.push(host);
        self
    }

    /// Answers only those who have the token.
    #[must_use]
    pub fn token(mut self, token: Token) -> Self {
        self.token = Some(token);
        self
    }

    /// Says on the screens that the files were made to be looked at.
    #[must_use]
    pub fn demo(mut self) -> Self {
        self.demo = true;
        self
    }

    /// Shows on the start page which files were looked at last, with a button
    /// that forgets them: the one request that changes anything. Without a list
    /// a viewer keeps none.
    ///
    /// Where a token is needed to look, the files of the list can be opened too,
    /// since then only who was let in can.
    #[must_use]
    pub fn recent(mut self, recent: Recent) -> Self {
        self.recent = Some(recent);
        self
    }

    /// Shows what a decoder makes of the pages of the files that are added from
    /// now on: of those that a program has bytes in. With the feature `compile`
    /// of pagebox a `pagebox::decode::Decoder` is one, in a sandbox; a file waits
    /// for it as long as its limit of time says.
    #[must_use]
    pub fn decoder(mut self, decoder: impl Decode + 'static) -> Self {
        self.decoder = Some(Arc::new(decoder));
        self
    }

    /// Adds a file, or whatever else can be looked at. The name is shown, and
    /// is never part of an address.
    ///
    /// # Errors
    /// Where the system has no thread to give.
    pub fn look_at(
        mut self,
        name: &str,
        about: &str,
        target: impl Target,
    ) -> std::io::Result<Self> {
        self.add(name, about, target, None)?;
        Ok(self)
    }

    /// Adds the page file at a path, opened when somebody looks at it. It is
    /// only ever read. A *trace* of what was written to one is read now, and is
    /// shown with what a crash at any moment of it can leave: a
    /// [`pagebox::RecordingStore`] makes one.
    ///
    /// # Errors
    /// As [`Builder::look_at`]; [`std::io::ErrorKind::InvalidData`] for a trace that is
    /// none, with the byte that says so.
    pub fn file(mut self, path: &Path, about: &str) -> std::io::Result<Self> {
        self.add_file(path, about)?;
        Ok(self)
    }

    /// Says what there is to be found in the file that was added last: it is folded
    /// away until somebody wants to know.
    #[must_use]
    pub fn answer(mut self, answer: &str) -> Self {
        if let Some(file) = self.files.last_mut() {
            answer.clone_into(&mut file.answer);
        }
        self
    }

    fn add(
        &mut self,
        name: &str,
        about: &str,
        target: impl Target,
        path: Option<&Path>,
    ) -> std::io::Result<&mut File> {
        let source = Source::start_with(target, self.decoder.clone())?;
        self.files.push(File {
            id: (self.files.len() + 1).to_string(),
            name: text::visible(name),
            about: about.to_owned(),
            answer: String::new(),
            live: Live::new(source.clone()),
            path: path.map(Path::to_owned),
            mends: path.and_then(text::repair_command),
            recent: None,
            traced: None,
            source,
        });
        let added = self.files.last_mut();
        added.ok_or_else(|| std::io::ErrorKind::Other.into())
    }

    fn add_file(&mut self, path: &Path, about: &str) -> std::io::Result<&mut File> {
        let engine = match &self.engine {
            Some(engine) => engine.clone(),
            None => Engine::new().map_err(std::io::Error::other)?,
        };
        self.engine = Some(engine.clone());
        let name = text::name_of(path);
        let place = std::path::absolute(path).ok();
        let place = place.filter(|_| !pagebox::is_address(path));
        if !simulator::is_trace(path) {
            let target = PageFile::new(&engine, path);
            return self.add(&name, about, target, place.as_deref());
        }
        let simulator = Arc::new(Simulator::load(&engine, path)?);
        let choice = simulator.first_choice();
        let target = Chosen {
            simulator: Arc::clone(&simulator),
            choice: choice.clone(),
        };
        let added = self.add(&name, about, target, place.as_deref())?;
        // There is no page file to be mended.
        added.mends = None;
        added.traced = Some(Traced {
            id: added.id.clone(),
            name: added.name.clone(),
            simulator,
            choice,
        });
        Ok(added)
    }

    /// Adds the files that were looked at last. One that is gone, or for which
    /// there is no thread, is shown by its name alone.
    fn add_recent(&mut self) {
        let paths = self.recent.as_ref().map_or_else(Vec::new, Recent::paths);
        for path in paths.into_iter().filter(|path| path.is_file()) {
            if let Ok(file) = self.add_file(&path, "") {
                file.recent = Some(path);
            }
        }
    }

    /// The engine whose sandboxes read the files; if none is given, one is
    /// made for the first file.
    #[must_use]
    pub fn engine(mut self, engine: &Engine) -> Self {
        self.engine = Some(engine.clone());
        self
    }

    /// The finished viewer.
    pub fn build(mut self) -> Viewer {
        // Without a token everybody on this machine may look, but only at what
        // was named.
        if self.token.is_some() {
            self.add_recent();
        }
        tell_apart(&mut self.files);
        let (closing, _) = watch::channel(false);
        Viewer(Arc::new(Inner {
            files: self.files,
            base: self.base,
            allowed_hosts: self.allowed_hosts,
            token: self.token,
            demo: self.demo,
            recent: self.recent,
            decoder: self.decoder,
            images: Mutex::default(),
            event_streams: Arc::new(Semaphore::new(EVENT_STREAMS_MAX)),
            closing,
        }))
    }
}

/// Gives files of one name as much of their paths for a name as tells them apart.
fn tell_apart(files: &mut [File]) {
    // A path that is there twice stays so.
    let deepest = |file: &File| Some(file.path.as_ref()?.components().count());
    let most = files.iter().filter_map(deepest).max().unwrap_or(0);
    for parts in 2..=most {
        let names: Vec<String> = files.iter().map(|file| file.name.clone()).collect();
        let is_shared = |name: &String| names.iter().filter(|each| *each == name).count() > 1;
        for file in files.iter_mut().filter(|file| is_shared(&file.name)) {
            if let Some(path) = &file.path {
                file.name = text::visible(&text::lossless(last_of(path, parts).as_os_str()));
            }
        }
    }
}

/// The last parts of a path.
fn last_of(path: &Path, parts: usize) -> PathBuf {
    let all = path.components().count();
    path.components().skip(all.saturating_sub(parts)).collect()
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("files", &self.files)
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

/// A viewer, cheap to clone.
#[derive(Clone, Debug)]
pub struct Viewer(Arc<Inner>);

struct Inner {
    files: Vec<File>,
    base: String,
    allowed_hosts: Vec<HostName>,
    token: Option<Token>,
    demo: bool,
    recent: Option<Recent>,
    decoder: Option<Arc<dyn Decode>>,
    /// Those that were asked for last, the newest first.
    images: Mutex<VecDeque<Arc<File>>>,
    event_streams: Arc<Semaphore>,
    closing: watch::Sender<bool>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner")
            .field("files", &self.files)
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

/// A file that can be looked at.
#[derive(Debug)]
pub(crate) struct File {
    /// What addresses call it.
    pub(crate) id: String,
    /// What people call it, with nothing invisible in it.
    pub(crate) name: String,
    /// What it is there for; empty where nobody said.
    pub(crate) about: String,
    /// What there is to be found in it; empty where nobody said.
    pub(crate) answer: String,
    /// Where it is; none of what is no file.
    pub(crate) path: Option<PathBuf>,
    /// The command that makes a mended copy of it, where there is one.
    pub(crate) mends: Option<String>,
    /// Where it is, if it was not named but looked at before.
    pub(crate) recent: Option<PathBuf>,
    /// Of which trace it is an image.
    pub(crate) traced: Option<Traced>,
    pub(crate) source: Source,
    pub(crate) live: Live,
}

/// The trace that an image is of, and which image it is.
#[derive(Debug)]
pub(crate) struct Traced {
    /// What addresses call the trace.
    pub(crate) id: String,
    /// What people call it.
    pub(crate) name: String,
    pub(crate) simulator: Arc<Simulator>,
    pub(crate) choice: Choice,
}

impl File {
    /// What addresses call it, or the trace that it is an image of.
    pub(crate) fn listed_id(&self) -> &str {
        self.traced.as_ref().map_or(&self.id, |traced| &traced.id)
    }

    /// The screen that it is there for: of a trace the simulator's.
    pub(crate) fn first_screen(&self) -> &'static str {
        match &self.traced {
            Some(traced) if traced.id == self.id => "crash",
            _ => "overview",
        }
    }

    /// Where it is, with nothing invisible in it.
    pub(crate) fn shown_path(&self) -> Option<String> {
        let path = self.path.as_ref()?;
        Some(text::visible(&text::lossless(path.as_os_str())))
    }
}

impl Viewer {
    /// Ends all event streams, now and for good: an open one would keep a
    /// server from shutting down.
    pub fn close(&self) {
        self.0.closing.send_replace(true);
    }

    /// The token that requests need.
    pub fn token(&self) -> Option<&Token> {
        self.0.token.as_ref()
    }

    pub(crate) fn files(&self) -> &[File] {
        &self.0.files
    }

    pub(crate) fn file(&self, id: &str) -> Option<&File> {
        self.0.files.iter().find(|file| file.id == id)
    }

    /// The image of a trace that an id names: `7~14~all`; none: it is no such id.
    pub(crate) fn image(&self, id: &str) -> Option<Result<Arc<File>, LookError>> {
        let (listed, code) = id.split_once(BEGINS)?;
        let traced = self.file(listed)?.traced.as_ref()?;
        let choice = Choice::of_code(code)?;
        Some(self.image_of(traced, choice))
    }

    /// The image of a trace that is chosen.
    ///
    /// # Errors
    /// [`LookError::NoImage`]; [`LookError::Gone`] where the system has no thread
    /// to give.
    pub(crate) fn image_of(&self, traced: &Traced, choice: Choice) -> Result<Arc<File>, LookError> {
        traced.simulator.fits(&choice)?;
        let id = format!("{}{BEGINS}{}", traced.id, choice.code());
        let mut images = self.0.images.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = images.iter().position(|image| image.id == id)
            && let Some(image) = images.remove(place)
        {
            images.push_front(Arc::clone(&image));
            return Ok(image);
        }
        let target = Chosen {
            simulator: Arc::clone(&traced.simulator),
            choice: choice.clone(),
        };
        let source = Source::start_with(target, self.0.decoder.clone());
        let source = source.map_err(|_| LookError::Gone)?;
        let image = Arc::new(File {
            name: format!("{}, step {}", traced.name, choice.at + 1),
            about: String::new(),
            answer: String::new(),
            path: None,
            mends: None,
            recent: None,
            live: Live::new(source.clone()),
            source,
            traced: Some(Traced {
                id: traced.id.clone(),
                name: traced.name.clone(),
                simulator: Arc::clone(&traced.simulator),
                choice,
            }),
            id,
        });
        images.truncate(IMAGES_MAX - 1);
        images.push_front(Arc::clone(&image));
        Ok(image)
    }

    pub(crate) fn demo(&self) -> bool {
        self.0.demo
    }

    /// The files that were looked at last, where such a list is kept.
    pub(crate) fn recent(&self) -> Option<&Recent> {
        self.0.recent.as_ref()
    }

    pub(crate) fn allowed_hosts(&self) -> &[HostName] {
        &self.0.allowed_hosts
    }

    pub(crate) fn event_streams(&self) -> &Arc<Semaphore> {
        &self.0.event_streams
    }

    pub(crate) fn closing(&self) -> watch::Receiver<bool> {
        self.0.closing.subscribe()
    }

    /// The path below which everything is; empty where that is the root.
    pub(crate) fn base(&self) -> &str {
        &self.0.base
    }

    /// The address of a path within this viewer.
    pub(crate) fn href(&self, path: &str) -> String {
        format!("{}{path}", self.0.base)
    }
}

impl From<&File> for FileName {
    fn from(file: &File) -> Self {
        Self {
            id: file.id.clone(),
            name: file.name.clone(),
        }
    }
}
