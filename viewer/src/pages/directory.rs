//! The directory: which protected page lies where, and whether its bytes are
//! the ones that were committed.

use askama::Template;
use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use utoipa::{IntoParams, ToSchema};

use crate::{
    described::Described,
    error::Error,
    facts::side_name,
    filters,
    format::Format,
    head::{FileName, Head},
    inspect::{Side, Slot},
    params::number_or_none,
    respond::Asked,
    schema,
    shell::Shell,
    slots::{Order, Wanted},
    text,
};

/// Slots on one screen, if not said otherwise, and at most.
const LIMIT: usize = 50;
const LIMIT_MAX: usize = 1000;

/// Directory blocks described on one screen.
const BLOCKS: u32 = 8;

/// Which slots, in which order.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(crate) struct DirectoryParams {
    /// How many slots of the result to pass over.
    #[serde(deserialize_with = "number_or_none")]
    #[param(value_type = Option<u64>)]
    skip: Option<u64>,
    /// How many slots, at most 1000.
    #[serde(deserialize_with = "number_or_none")]
    #[param(value_type = Option<u64>)]
    limit: Option<u64>,
    /// `id`, `generation` or `page`; with `-` before it, the greatest first.
    sort: Option<String>,
    /// Only slots with this protected id or physical page.
    #[serde(deserialize_with = "number_or_none")]
    #[param(value_type = Option<u64>)]
    q: Option<u64>,
    /// `problems`: only slots with which something is wrong.
    only: Option<String>,
    /// The first directory block to describe.
    #[serde(deserialize_with = "number_or_none")]
    #[param(value_type = Option<u64>)]
    block: Option<u64>,
}

/// A part of the directory.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DirectoryView {
    file: FileName,
    state: Head,
    /// Slots in use in the whole file; none where not all of the directory
    /// could be read.
    protected_pages: Option<u64>,
    /// Slots that were asked for, before paging.
    matches: usize,
    /// Slots passed over.
    skip: usize,
    /// The most slots here.
    limit: usize,
    /// The order: `id`, `generation` or `page`, `-` before it for the greatest
    /// first.
    sort: String,
    /// The slots.
    slots: Vec<SlotLine>,
    /// Whether there were too many slots to sort or search all of them.
    truncated: bool,
    /// Directory blocks, both copies where they are known.
    blocks: Vec<Described>,
    /// The first block described.
    block: u32,
    #[serde(skip)]
    known: u64,
    #[serde(skip)]
    can_be_changed: bool,
    #[serde(skip)]
    q: Option<u64>,
    #[serde(skip)]
    only: bool,
}

/// A slot and whether its page's bytes are the ones that were committed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SlotLine {
    #[serde(flatten)]
    #[schema(value_type = schema::Slot)]
    slot: Slot,
    /// `verified`, `differs` or `unread`.
    checksum_state: &'static str,
}

impl From<Slot> for SlotLine {
    fn from(slot: Slot) -> Self {
        let checksum_state = match slot.actual {
            Some(actual) if actual == slot.checksum => "verified",
            Some(_) => "differs",
            None => "unread",
        };
        Self {
            slot,
            checksum_state,
        }
    }
}

impl SlotLine {
    fn side(&self) -> &'static str {
        side_name(self.slot.active)
    }

    /// Both copies: which side, and which page.
    fn copies(&self) -> [(Side, u64); 2] {
        [(Side::A, self.slot.page_a), (Side::B, self.slot.page_b)]
    }

    /// How a copy is drawn.
    fn swatch(&self, side: &Side) -> &'static str {
        if *side == self.slot.active {
            "protected-active"
        } else {
            "protected-shadow"
        }
    }

    fn is_bad(&self) -> bool {
        self.checksum_state == "differs" || !self.slot.problem.is_empty()
    }
}

impl DirectoryView {
    /// Whether it is known that there are none.
    fn has_none(&self) -> bool {
        self.protected_pages == Some(0)
    }

    fn q_text(&self) -> String {
        self.q.map_or_else(String::new, |q| q.to_string())
    }

    /// Whether there are blocks that are not described.
    fn more_blocks(&self) -> bool {
        // Of each block there are two copies.
        self.blocks.len() >= BLOCKS as usize * 2
    }

    fn next(&self) -> Option<usize> {
        let next = self.skip + self.slots.len();
        (next < self.matches && !self.slots.is_empty()).then_some(next)
    }

    fn previous(&self) -> Option<usize> {
        (self.skip > 0).then(|| self.skip.saturating_sub(self.limit))
    }

    /// The part of an address that keeps the filter.
    fn filter(&self) -> String {
        let q = self.q.map_or_else(String::new, |q| format!("&q={q}"));
        let only = if self.only { "&only=problems" } else { "" };
        format!("{q}{only}&limit={}", self.limit)
    }

    /// The order that a click on a column's title asks for.
    fn toggled(&self, column: &str) -> String {
        if self.sort == column {
            format!("-{column}")
        } else {
            column.to_owned()
        }
    }

    /// The order of a column, for those who hear it.
    fn order(&self, column: &str) -> &'static str {
        match self.sort.strip_prefix('-') {
            Some(sorted) if sorted == column => "descending",
            None if self.sort == column => "ascending",
            _ => "none",
        }
    }

    /// The same as a table for other programs.
    fn csv(&self) -> String {
        let mut csv = String::from(
            "id,block,index,active,page_a,page_b,generation,checksum,actual,checksum_state,problem\r\n",
        );
        for line in &self.slots {
            let slot = &line.slot;
            let actual = slot
                .actual
                .map_or_else(String::new, |actual| format!("{actual:08x}"));
            // Writing to a string does not fail.
            let _ = write!(
                csv,
                "{},{},{},{},{},{},{},{:08x},{actual},{},\"{}\"\r\n",
                slot.id,
                slot.block,
                slot.index,
                line.side(),
                slot.page_a,
                slot.page_b,
                slot.generation,
                slot.checksum,
                line.checksum_state,
                text::visible(&slot.problem).replace('"', "\"\""),
            );
        }
        csv
    }
}

#[derive(Template)]
#[template(path = "directory.html")]
struct DirectoryPage<'a> {
    shell: &'a Shell,
    view: &'a DirectoryView,
}

/// A part of the directory.
#[utoipa::path(get, path = "/f/{file}/directory.json", tag = "file",
    params(("file" = String, Path, description = "The file's id"), DirectoryParams),
    responses((status = 200, body = DirectoryView), (status = 400, body = crate::error_page::Said),
        (status = 404, body = crate::error_page::Said)))]
pub(crate) async fn show(asked: Asked) -> Response {
    let view = view(&asked).await;
    asked.answer(view, |shell, view| DirectoryPage { shell, view }.render())
}

/// The same as a table for other programs.
#[utoipa::path(get, path = "/f/{file}/directory.csv", tag = "file",
    params(("file" = String, Path, description = "The file's id"), DirectoryParams),
    responses((status = 200, body = String, content_type = "text/csv"),
        (status = 404, body = crate::error_page::Said)))]
pub(crate) async fn csv(asked: Asked) -> Response {
    debug_assert_eq!(asked.format, Format::Csv);
    let answer = view(&asked).await.map(|(_, view)| {
        let headers = [
            (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
            (
                header::CONTENT_DISPOSITION,
                "attachment; filename=\"directory.csv\"",
            ),
        ];
        (headers, view.csv()).into_response()
    });
    asked.or_error(answer)
}

async fn view(asked: &Asked) -> Result<(Head, DirectoryView), Error> {
    let file = FileName::from(asked.file()?);
    let params: DirectoryParams = asked.query()?;
    let sort = params.sort.clone().unwrap_or_else(|| "id".to_owned());
    let Some(order) = Order::of(&sort) else {
        return Err(Error::Query(
            "sort is one of id, generation and page, with or without a -".to_owned(),
        ));
    };
    let place = |value: Option<u64>| value.and_then(|value| usize::try_from(value).ok());
    let limit = place(params.limit).unwrap_or(LIMIT).clamp(1, LIMIT_MAX);
    let skip = place(params.skip).unwrap_or(0);
    let block = params
        .block
        .and_then(|block| u32::try_from(block).ok())
        .unwrap_or(0);
    let wanted = Wanted {
        named: params.q,
        only_problems: params.only.as_deref() == Some("problems"),
        order,
    };
    asked
        .look(move |view, head| {
            let facts = &head.facts;
            let (slots, truncated) = wanted.find(view, head)?;
            let matches = slots.len();
            let mut shown = Vec::new();
            for slot in slots.into_iter().skip(skip).take(limit) {
                let verified = view.look().directory(slot.id, 1, true)?.into_iter().next();
                shown.push(
                    verified
                        .filter(|same| same.id == slot.id)
                        .unwrap_or(slot)
                        .into(),
                );
            }
            let mut blocks = Vec::new();
            for structure in view.look().structures(block, BLOCKS)? {
                if structure.name.starts_with("directory") {
                    blocks.push(Described::new(view, structure)?);
                }
            }
            Ok(DirectoryView {
                file: file.clone(),
                state: head.clone(),
                protected_pages: facts.protected_pages,
                known: facts.protected_at_least,
                can_be_changed: facts.can_be_changed,
                matches,
                skip,
                limit,
                sort: sort.clone(),
                slots: shown,
                truncated,
                blocks,
                block,
                q: wanted.named,
                only: wanted.only_problems,
            })
        })
        .await
}
