//! What a page leads to: the pages that its structures name, by the pager and by
//! the program's own decoder, and what those name.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use askama::Template;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    decoded::Decoded,
    error::Error,
    filters,
    head::{FileName, Head},
    inspect::{Severity, Structure},
    legend::{Legend, class_of},
    look::LookError,
    params::{AsOfParams, number_or_none},
    respond::Asked,
    shell::Shell,
    source::View,
    text,
    tree::{Bounds, Found, Link, Walk},
};

/// How far a walk goes.
const BOUNDS: Bounds = Bounds {
    depth: 8,
    pages: 1000,
    links: 200,
};

/// How long it may take: at each page a decoder may.
const BUDGET: Duration = Duration::from_secs(2);

/// Pages below one that are shown without being asked for.
const OPEN_MAX: usize = 30;

/// Links to pages elsewhere in the tree that are shown without being asked for.
const ALSO_MAX: usize = 6;

/// Problems of a page that are told here.
const PROBLEMS_MAX: usize = 3;

/// Where to begin.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(crate) struct TreeParams {
    /// The page to begin at.
    #[serde(deserialize_with = "number_or_none")]
    #[param(value_type = Option<u64>)]
    root: Option<u64>,
    /// The protected page to begin at, wherever its bytes are. Where neither is
    /// given: the first that there is, for a decoder; else page 0.
    #[serde(deserialize_with = "number_or_none")]
    #[param(value_type = Option<u64>)]
    protected: Option<u64>,
}

/// A page that leads to others.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TreePage {
    /// The page.
    page: u64,
    /// What the value that leads to it is called; empty of the root.
    link: String,
    /// How many links it is from the root.
    depth: usize,
    /// The place among the pages of the one that leads to it; null of the root.
    parent: Option<usize>,
    /// What it is: in words, by the decoder or by the pager.
    title: String,
    /// The kind, by the decoder or by the pager.
    kind: String,
    /// What stands for a decoder's kind in maps.
    letter: Option<char>,
    /// What is in it, by the decoder.
    summary: String,
    /// The protected page whose bytes it holds.
    protected: Option<u64>,
    /// What is wrong with it and with its fields, the first three.
    problems: Vec<String>,
    /// What it names besides, that stands elsewhere here.
    also: Vec<Named>,
    /// How many pages that it names are left out.
    left_out: usize,
    /// How many pages stand right below it.
    #[serde(skip)]
    children: usize,
}

/// A page that a value names.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Named {
    /// What the value is called.
    link: String,
    /// The page.
    page: u64,
}

impl Named {
    /// What the value is called, where that says more than the page.
    fn said(&self) -> Option<&str> {
        let page = format!("page {}", self.page);
        Some(&*self.link).filter(|link| *link != page)
    }
}

impl From<Link> for Named {
    fn from(link: Link) -> Self {
        Self {
            link: link.name,
            page: link.page,
        }
    }
}

impl TreePage {
    /// What draws it: a kind of the decoder by its letter.
    fn class(&self) -> &'static str {
        class_of(&self.kind)
    }

    /// Whether what it names besides is more than a line.
    fn is_long(&self) -> bool {
        self.also.len() > ALSO_MAX
    }

    /// Whether what is below is shown at once: not where it is much.
    fn is_open(&self) -> bool {
        self.depth == 0 || self.depth == 1 && self.children <= OPEN_MAX
    }
}

/// What a page leads to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TreeView {
    file: FileName,
    state: Head,
    /// The page that it begins at; null: the protected page has none, since its
    /// bytes are zeros.
    root: Option<u64>,
    /// The protected page that it begins at, where one was asked for.
    protected: Option<u64>,
    /// The pages, each before those that it leads to.
    pages: Vec<TreePage>,
    /// How many pages that are named are left out: of more than 8 links from the
    /// root, of more than 1,000 in all, of more than 200 that one names, or for want of
    /// time.
    left_out: usize,
    #[serde(skip)]
    has_decoder: bool,
}

/// A line of the tree, as the template needs it.
struct Row<'v> {
    page: &'v TreePage,
    /// Whether the next is below it.
    opens: bool,
    /// How many lists end after it.
    closes: usize,
}

impl TreeView {
    fn rows(&self) -> Vec<Row<'_>> {
        let depths = self.pages.iter().skip(1).map(|page| page.depth).chain([0]);
        let rows = self.pages.iter().zip(depths).map(|(page, next)| Row {
            page,
            opens: next > page.depth,
            closes: page.depth.saturating_sub(next),
        });
        rows.collect()
    }

    fn root_text(&self) -> String {
        let shown = self.root.filter(|_| self.protected.is_none());
        shown.map_or_else(String::new, |root| root.to_string())
    }

    fn protected_text(&self) -> String {
        self.protected.map_or_else(String::new, |id| id.to_string())
    }
}

#[derive(Template)]
#[template(path = "tree.html")]
struct TreeTemplate<'a> {
    shell: &'a Shell,
    view: &'a TreeView,
}

/// What a page leads to: the pages that its fields name, and what those name.
#[utoipa::path(get, path = "/f/{file}/tree.json", tag = "file",
    params(("file" = String, Path, description = "The file's id"), AsOfParams, TreeParams),
    responses((status = 200, body = TreeView), (status = 400, body = crate::error_page::Said),
        (status = 404, body = crate::error_page::Said)))]
pub(crate) async fn show(asked: Asked) -> Response {
    let view = view(&asked).await;
    asked.answer(view, |shell, view| TreeTemplate { shell, view }.render())
}

async fn view(asked: &Asked) -> Result<(Head, TreeView), Error> {
    let file = FileName::from(asked.file()?);
    let params: TreeParams = asked.query()?;
    if params.root.is_some() && params.protected.is_some() {
        let why = "the address names a page and a protected page to begin at: one is enough";
        return Err(Error::Query(why.to_owned()));
    }
    let has_decoder = asked.file()?.source.has_decoder();
    let (head, found) = asked
        .look_as_of(move |view, head| {
            let begin = begin(view, &params, has_decoder)?;
            let (root, protected) = match begin {
                Begin::At { root, protected } => (root, protected),
                Begin::Nowhere(why) => return Ok(Err(why)),
            };
            let mut seen = Seen {
                legend: Legend::new(view.look().page_kinds()?),
                view,
            };
            let until = Instant::now() + BUDGET;
            let walk = match root {
                None => None,
                Some(root) => Some(Walk::from(
                    root,
                    BOUNDS,
                    |page| seen.found(page),
                    || Instant::now() < until,
                )?),
            };
            let left_out = walk.as_ref().map_or(0, Walk::left);
            Ok(Ok(TreeView {
                file: file.clone(),
                state: head.clone(),
                root,
                protected,
                pages: walk.map_or_else(Vec::new, in_order),
                left_out,
                has_decoder,
            }))
        })
        .await?;
    match found {
        Ok(view) => Ok((head, view)),
        Err(Nowhere::NoPage(page)) => Err(Error::no_page(page, head.pages)),
        Err(Nowhere::NotProtected(id)) => Err(Error::Query(format!(
            "no protected page {} can be found",
            text::number(id)
        ))),
    }
}

/// Where a walk begins.
enum Begin {
    At {
        root: Option<u64>,
        protected: Option<u64>,
    },
    Nowhere(Nowhere),
}

/// Why it cannot begin there.
enum Nowhere {
    NoPage(u64),
    NotProtected(u64),
}

fn begin(view: &mut View, params: &TreeParams, has_decoder: bool) -> Result<Begin, LookError> {
    if let Some(page) = params.root {
        let is_there = !view.look().kinds(page, 1)?.is_empty();
        return Ok(if is_there {
            Begin::At {
                root: Some(page),
                protected: None,
            }
        } else {
            Begin::Nowhere(Nowhere::NoPage(page))
        });
    }
    let first = match params.protected {
        Some(id) => id,
        None if has_decoder => 0,
        None => {
            return Ok(Begin::At {
                root: Some(0),
                protected: None,
            });
        }
    };
    let entry = view.look().directory(first, 1, false)?.into_iter().next();
    Ok(match (entry, params.protected) {
        (Some(entry), Some(id)) if entry.id != id => Begin::Nowhere(Nowhere::NotProtected(id)),
        (None, Some(id)) => Begin::Nowhere(Nowhere::NotProtected(id)),
        (Some(entry), _) => Begin::At {
            root: entry.page,
            protected: Some(entry.id),
        },
        (None, None) => Begin::At {
            root: Some(0),
            protected: None,
        },
    })
}

/// What is known of a page in a tree.
struct What {
    title: String,
    kind: String,
    letter: Option<char>,
    summary: String,
    protected: Option<u64>,
    problems: Vec<String>,
}

/// Looks at pages.
struct Seen<'v> {
    view: &'v mut View,
    legend: Legend,
}

impl Seen<'_> {
    fn found(&mut self, page: u64) -> Result<Option<Found<What>>, LookError> {
        let Some(info) = self.view.look().page(page)? else {
            return Ok(None);
        };
        let kind = self.legend.name(info.kind).to_owned();
        let decoded = Decoded::ask(self.view, page, info.protected, &kind)?;
        let mut structures = info.structures;
        let mut what = What {
            title: titles(&structures),
            kind,
            letter: None,
            summary: String::new(),
            protected: info.protected,
            problems: Vec::new(),
        };
        if let Some((said, structure)) = decoded {
            structures.extend(structure);
            if !said.failure.is_empty() {
                what.problems.push(format!(
                    "{} failed at this page: {}",
                    said.decoder, said.failure
                ));
            }
            if let Some(known) = said.page {
                what.title = known.title;
                what.kind = known.kind;
                what.letter = Some(known.letter);
                what.summary = known.summary;
            }
        }
        for found in info.findings {
            if found.severity != Severity::Info && what.problems.len() < PROBLEMS_MAX {
                what.problems.push(found.message);
            }
        }
        let mut links = Vec::new();
        for field in structures.into_iter().flat_map(|each| each.fields) {
            if let Some(page) = field.refers_to {
                links.push(Link {
                    name: field.name.clone(),
                    page,
                });
            }
            if !field.problem.is_empty() && what.problems.len() < PROBLEMS_MAX {
                what.problems
                    .push(format!("{}: {}", field.name, field.problem));
            }
        }
        if page == 0 {
            // What everything hangs on has its places, whether or not a field says so.
            let roots = self.view.look().structures(0, 0)?.into_iter();
            let named: BTreeSet<u64> = links.iter().map(|link| link.page).collect();
            let others = roots
                .filter(|root| ["root", "metadata"].contains(&&*root.name))
                .filter(|root| root.page != page && !named.contains(&root.page));
            links.extend(others.map(|root| Link {
                name: root.name,
                page: root.page,
            }));
        }
        Ok(Some(Found { what, links }))
    }
}

fn titles(structures: &[Structure]) -> String {
    let titles: Vec<&str> = structures.iter().map(|each| &*each.title).collect();
    titles.join(", ")
}

/// The pages of a walk, each before those that it leads to.
fn in_order(walk: Walk<What>) -> Vec<TreePage> {
    let order = walk.in_order();
    let mut places = vec![0; order.len()];
    for (new, old) in order.iter().enumerate() {
        places[*old] = new;
    }
    let mut children = vec![0; order.len()];
    for parent in walk.nodes.iter().filter_map(|node| node.parent) {
        children[parent] += 1;
    }
    let mut nodes: Vec<_> = walk.nodes.into_iter().map(Some).collect();
    let nodes = order
        .into_iter()
        .filter_map(|place| nodes[place].take().zip(Some(children[place])));
    nodes
        .map(|(node, children)| TreePage {
            page: node.page,
            link: node.name,
            depth: node.depth,
            parent: node.parent.map(|parent| places[parent]),
            title: node.what.title,
            kind: node.what.kind,
            letter: node.what.letter,
            summary: node.what.summary,
            protected: node.what.protected,
            problems: node.what.problems,
            also: node.also.into_iter().map(Named::from).collect(),
            left_out: node.left.map_or(0, |(_, count)| count),
            children,
        })
        .collect()
}
