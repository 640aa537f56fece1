//! The frame around every screen: which file, which screens, in what state.

use std::fmt::Display;

use crate::{
    head::{Head, tone_of},
    inspect::Extent,
    state::{File, Viewer},
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
    pub(crate) demo: bool,
}

/// The part of the frame that is about a file.
#[derive(Debug)]
pub(crate) struct FileShell {
    pub(crate) name: String,
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

const SCREENS: [(&str, &str); 8] = [
    ("overview", "Overview"),
    ("map", "Map"),
    ("metadata", "Metadata"),
    ("directory", "Directory"),
    ("page", "Page"),
    ("diff", "Diff"),
    ("health", "Health"),
    ("live", "Live"),
];

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
                href: format!("{}/overview", file_base(&each.id)),
                text: each.name.clone(),
                current: file.is_some_and(|file| file.id == each.id),
            })
            .collect();
        let keeps_trees = head.as_ref().is_some_and(Head::keeps_trees);
        let title = |path: &str, text: &'static str| match path {
            // What that screen shows of format 1.
            "metadata" if keeps_trees => "Roots",
            _ => text,
        };
        let screens = file.map_or_else(Vec::new, |file| {
            SCREENS
                .iter()
                .map(|(path, text)| Link {
                    href: format!("{}/{path}", file_base(&file.id)),
                    text: title(path, text).to_owned(),
                    current: *path == screen,
                })
                .collect()
        });
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
                base: file_base(&file.id),
                head,
            }),
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
            demo: false,
        }
    }

    /// The address of a screen of the file.
    pub(crate) fn to(&self, screen: &str) -> String {
        let base = self.file.as_ref().map_or("", |file| &file.base);
        format!("{base}/{screen}")
    }

    /// The address of a screen of any file.
    pub(crate) fn of(&self, id: &str, screen: &str) -> String {
        format!("{}f/{id}/{screen}", self.home)
    }

    /// Where a word is explained.
    pub(crate) fn word(&self, word: &str) -> String {
        format!("{}#{word}", self.about)
    }

    /// The address of a page's screen.
    pub(crate) fn page(&self, page: impl Display) -> String {
        format!("{}?n={page}", self.to("page"))
    }

    /// The address of a page's screen, at a byte.
    pub(crate) fn page_at(&self, page: impl Display, offset: impl Display) -> String {
        format!("{}&at={offset}", self.page(page))
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
