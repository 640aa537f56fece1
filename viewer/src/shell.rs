//! The frame around every screen: which file, which screens, in what state.

use std::fmt::Display;

use crate::{
    head::{Head, tone_of},
    inspect::{Extent, Found},
    past::AsOf,
    state::{File, Traced, Viewer},
    text,
};

/// A link.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) href: String,
    pub(crate) text: String,
    pub(crate) current: bool,
}

/// What the frame's template needs.
#[derive(Debug)]
pub(crate) struct Shell {
    pub(crate) home: String,
    pub(crate) about: String,
    pub(crate) assets: String,
    pub(crate) twin: String,
    pub(crate) files: Vec<Link>,
    pub(crate) screens: Vec<Link>,
    pub(crate) file: Option<FileShell>,
    /// Of which snapshot this is; none: of the committed state.
    pub(crate) past: Option<Past>,
    /// Of which trace this is an image; none: it is a file.
    pub(crate) crash: Option<Crash>,
    pub(crate) demo: bool,
}

/// The part of the frame that says which image of a trace a screen shows.
#[derive(Debug)]
pub(crate) struct Crash {
    /// What people call the trace.
    pub(crate) trace: String,
    /// At which step the power failed, and how many there are.
    pub(crate) step: usize,
    pub(crate) steps: usize,
    /// The step that is left out.
    pub(crate) without: Option<usize>,
    /// Where the image is chosen.
    pub(crate) href: String,
    /// Whether this is there.
    pub(crate) is_here: bool,
}

impl Crash {
    fn new(viewer: &Viewer, traced: &Traced, screen: &str) -> Self {
        let steps = traced.simulator.steps().len();
        let query = traced.choice.query();
        Self {
            trace: traced.name.clone(),
            step: traced.choice.at + 1,
            steps,
            without: traced.choice.without.map(|step| step + 1),
            href: viewer.href(&format!("/f/{}/crash?{query}", traced.id)),
            is_here: screen == CRASH,
        }
    }

    /// Whether the power failed after all of them.
    pub(crate) fn is_end(&self) -> bool {
        self.step > self.steps
    }
}

/// The part of the frame that says of which snapshot a screen is, with the ways
/// to the same screen of other states.
#[derive(Debug)]
pub(crate) struct Past {
    pub(crate) as_of: AsOf,
    pub(crate) taken: String,
    /// The same of the committed state.
    pub(crate) now: String,
    /// The same of the snapshot before; none: it is the first.
    pub(crate) earlier: Option<Link>,
    /// The same of the one after, or of the committed state.
    pub(crate) later: Link,
}

impl Past {
    /// `address` is what leads to a screen of the file, with its query.
    fn new(as_of: AsOf, path: &str, query: &str) -> Self {
        let rest: Vec<&str> = query
            .split('&')
            .filter(|part| !part.is_empty() && part.split('=').next() != Some(SNAPSHOT))
            .collect();
        let link = |name: Option<&str>, text: &str| {
            let named = name.map(|name| named(name, "", ""));
            let parts: Vec<&str> = named.as_deref().into_iter().chain(rest.clone()).collect();
            let question = if parts.is_empty() { "" } else { "?" };
            Link {
                href: format!("{path}{question}{}", parts.join("&")),
                text: text.to_owned(),
                current: false,
            }
        };
        let earlier = as_of.earlier.as_deref();
        Self {
            taken: as_of.snapshot.taken(),
            now: link(None, "").href,
            earlier: earlier.map(|name| link(Some(name), name)),
            later: link(
                as_of.later.as_deref(),
                as_of.later.as_deref().unwrap_or("now"),
            ),
            as_of,
        }
    }
}

/// The part of the frame that is about a file.
#[derive(Debug)]
pub(crate) struct FileShell {
    pub(crate) name: String,
    /// Where it is, for paper; its name, where it is no file or cannot be read.
    pub(crate) place: String,
    pub(crate) base: String,
    /// How it is; none on the page of an error, which may be why.
    pub(crate) head: Option<Head>,
}

impl FileShell {
    pub(crate) fn tone(&self) -> &'static str {
        let verdict = self.head.as_ref().map_or("", |head| &head.verdict);
        tone_of(verdict)
    }
}

/// The parameter of an address that names a snapshot.
const SNAPSHOT: &str = "snapshot";

/// The screens, and what else, that can be of a snapshot.
const AS_OF: [&str; 8] = [
    "overview",
    "map",
    "tiles",
    "directory",
    "page",
    "health",
    "tree",
    "find",
];

/// The screen of the simulator.
const CRASH: &str = "crash";

const SCREENS: [(&str, &str); 10] = [
    ("overview", "Overview"),
    ("map", "Map"),
    ("metadata", "Metadata"),
    ("directory", "Directory"),
    ("page", "Page"),
    ("diff", "Diff"),
    ("health", "Health"),
    ("live", "Live"),
    ("time", "Time"),
    ("tree", "Tree"),
];

/// Screens without a tab, and whose tab is theirs.
const SUB_SCREENS: [(&str, &str); 3] = [("changes", "time"), ("compare", "diff"), ("find", "page")];

impl Past {
    /// The snapshot, as addresses have it.
    pub(crate) fn named(&self) -> String {
        text::in_address(&self.as_of.snapshot.name)
    }
}

/// What keeps the snapshot in the address of a screen, between two texts; nothing
/// where there is none to be kept.
fn kept(past: Option<&Past>, screen: &str, before: &str, after: &str) -> String {
    let stem = screen.split('.').next().unwrap_or(screen);
    match past {
        Some(past) if AS_OF.contains(&stem) => named(&past.as_of.snapshot.name, before, after),
        _ => String::new(),
    }
}

/// A snapshot as a parameter of an address, between two texts.
fn named(name: &str, before: &str, after: &str) -> String {
    format!("{before}{SNAPSHOT}={}{after}", text::in_address(name))
}

impl Shell {
    /// The frame around what is at an address within the viewer.
    pub(crate) fn new(
        viewer: &Viewer,
        address: &str,
        file: Option<&File>,
        head: Option<Head>,
    ) -> Self {
        let (path, query) = address.split_once('?').unwrap_or((address, ""));
        let screen = path.rsplit('/').next().unwrap_or_default();
        let file_base = |id: &str| viewer.href(&format!("/f/{id}"));
        let files = viewer
            .files()
            .iter()
            .map(|each| Link {
                href: format!("{}/{}", file_base(&each.id), each.first_screen()),
                text: each.name.clone(),
                current: file.is_some_and(|file| file.listed_id() == each.id),
            })
            .collect();
        let keeps_trees = head.as_ref().is_some_and(Head::keeps_trees);
        let title = |path: &str, text: &'static str| match path {
            // What that screen shows of format 1.
            "metadata" if keeps_trees => "Roots",
            _ => text,
        };
        let as_of = head.as_ref().and_then(|head| head.snapshot.clone());
        let past = as_of.map(|as_of| Past::new(as_of, &viewer.href(path), query));
        let traced = file.and_then(|file| file.traced.as_ref());
        let crash = traced.map(|traced| Crash::new(viewer, traced, screen));
        let mut screens = file.map_or_else(Vec::new, |file| {
            SCREENS
                .iter()
                // Nobody writes to an image.
                .filter(|(path, _)| crash.is_none() || *path != "live")
                .map(|(path, text)| Link {
                    href: format!(
                        "{}/{path}{}",
                        file_base(&file.id),
                        kept(past.as_ref(), path, "?", "")
                    ),
                    text: title(path, text).to_owned(),
                    current: *path == screen || SUB_SCREENS.contains(&(screen, *path)),
                })
                .collect()
        });
        if let Some(crash) = &crash {
            let link = Link {
                href: crash.href.clone(),
                text: "Crash".to_owned(),
                current: crash.is_here,
            };
            screens.insert(0, link);
        }
        // Who finds a file gone need not learn where it was.
        let seen = file.filter(|_| head.is_some());
        let shown_path = seen.and_then(File::shown_path);
        let question = if query.is_empty() { "" } else { "?" };
        Self {
            home: viewer.href("/"),
            about: viewer.href("/about"),
            assets: viewer.href("/assets"),
            twin: match path {
                "/" => viewer.href("/files.json"),
                path => viewer.href(&format!("{path}.json{question}{query}")),
            },
            files,
            screens,
            file: file.map(|file| FileShell {
                name: file.name.clone(),
                place: shown_path.unwrap_or_else(|| file.name.clone()),
                base: file_base(&file.id),
                head,
            }),
            past,
            crash,
            demo: viewer.demo(),
        }
    }

    /// The frame for somebody who may not look: it names no file.
    pub(crate) fn outside(viewer: &Viewer) -> Self {
        Self {
            home: viewer.href("/"),
            about: viewer.href("/about"),
            assets: viewer.href("/assets"),
            twin: String::new(),
            files: Vec::new(),
            screens: Vec::new(),
            file: None,
            past: None,
            crash: None,
            demo: false,
        }
    }

    fn base(&self) -> &str {
        self.file.as_ref().map_or("", |file| &file.base)
    }

    /// The address of a screen of the file, of the same snapshot if it can be.
    pub(crate) fn to(&self, screen: &str) -> String {
        let kept = kept(self.past.as_ref(), screen, "?", "");
        format!("{}/{screen}{kept}", self.base())
    }

    /// The same to which what is asked for is appended.
    pub(crate) fn ask(&self, screen: &str) -> String {
        let kept = kept(self.past.as_ref(), screen, "", "&");
        format!("{}/{screen}?{kept}", self.base())
    }

    /// The same of a snapshot, or of the committed state.
    pub(crate) fn ask_as_of(&self, screen: &str, snapshot: Option<&str>) -> String {
        let named = snapshot.map_or_else(String::new, |name| named(name, "", "&"));
        format!("{}/{screen}?{named}", self.base())
    }

    /// The address of a screen of any file.
    pub(crate) fn of(&self, id: &str, screen: &str) -> String {
        format!("{}f/{id}/{screen}", self.home)
    }

    /// The picture of a tab or a window, which tells damage from afar.
    pub(crate) fn icon(&self) -> &'static str {
        let head = self.file.as_ref().and_then(|file| file.head.as_ref());
        match head.map(Head::tone) {
            Some("bad") => "icon-bad.svg",
            Some("note") => "icon-note.svg",
            _ => "icon.svg",
        }
    }

    /// Whether the file is no page file.
    pub(crate) fn is_foreign(&self) -> bool {
        let head = self.file.as_ref().and_then(|file| file.head.as_ref());
        head.is_some_and(Head::foreign)
    }

    /// Where a word is explained.
    pub(crate) fn word(&self, word: &str) -> String {
        format!("{}#{word}", self.about)
    }

    /// The address of a page's screen.
    pub(crate) fn page(&self, page: impl Display) -> String {
        format!("{}n={page}", self.ask("page"))
    }

    /// The address of a page's screen, at a byte.
    pub(crate) fn page_at(&self, page: impl Display, offset: impl Display) -> String {
        format!("{}&at={offset}", self.page(page))
    }

    /// The address of the tree that begins at a page: of a protected one wherever its
    /// bytes will be.
    #[expect(
        clippy::ref_option,
        clippy::trivially_copy_pass_by_ref,
        reason = "templates pass by reference"
    )]
    pub(crate) fn tree(&self, page: &u64, protected: &Option<u64>) -> String {
        match protected {
            Some(id) => format!("{}protected={id}", self.ask("tree")),
            None => format!("{}root={page}", self.ask("tree")),
        }
    }

    /// The same of the page that a finding is about, at its bytes where it has some.
    pub(crate) fn page_of(&self, finding: &Found, page: impl Display) -> String {
        if finding.evidence.is_empty() {
            self.page(page)
        } else {
            self.page_at(page, finding.offset)
        }
    }

    /// The pages that a finding names besides the one that it is about.
    #[expect(clippy::unused_self, reason = "templates reach it through the frame")]
    pub(crate) fn named_besides(&self, finding: &Found) -> Vec<u64> {
        text::pages_in(&finding.message, finding.page)
    }

    /// How many pages runs hold, in words.
    #[expect(clippy::unused_self, reason = "templates reach it through the frame")]
    pub(crate) fn count(&self, runs: &[Extent]) -> String {
        let pages = runs.iter().map(|run| run.count).sum();
        let runs = text::counted(runs.len() as u64, "run");
        format!("{} in {runs}", text::pages(pages))
    }

    /// A run of pages in words.
    #[expect(clippy::unused_self, reason = "templates reach it through the frame")]
    pub(crate) fn run(&self, run: &Extent) -> String {
        if run.count == 1 {
            text::number(run.first)
        } else {
            let last = run.first.saturating_add(run.count.saturating_sub(1));
            format!("{}\u{2013}{}", text::number(run.first), text::number(last))
        }
    }
}
