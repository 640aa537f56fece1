//! The crash simulator: choose the moment at which the power fails, choose what
//! survives, and see what recovery decides.

use std::{collections::HashMap, sync::Arc};

use askama::Template;
use axum::response::Response;
use pagebox::trace::Step;
use serde::{Deserialize, Deserializer, de};
use utoipa::IntoParams;

use crate::{
    choice::{Choice, EXCEPTIONS_MAX, Exception, Keep},
    crash::{CrashView, Found, Making, Told},
    error::Error,
    filters,
    head::Head,
    inspect::Reason,
    legend::Legend,
    look::LookError,
    params::number_or_none,
    respond::Asked,
    shell::Shell,
    simulator::{Doubt, Simulator},
    source::View,
    state::File,
    text,
};

/// What is chosen.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(crate) struct CrashParams {
    /// The step that is under way when the power fails, from 1; one more than there
    /// are is the moment after them. The last sync that matters unless given.
    #[param(value_type = Option<u64>)]
    #[serde(deserialize_with = "number_or_none")]
    at: Option<u64>,
    /// A sync or an order that is left out, by its step.
    #[param(value_type = Option<u64>)]
    #[serde(deserialize_with = "number_or_none")]
    without: Option<u64>,
    /// What survives of what is not durable: `all`, `none` or `random`.
    keep: Option<String>,
    /// What `random` draws by; 1 unless given.
    #[param(value_type = Option<u64>)]
    #[serde(deserialize_with = "number_or_none")]
    seed: Option<u64>,
    /// How many pages the file has, where a growth or a cut is in doubt.
    #[param(value_type = Option<u64>)]
    #[serde(deserialize_with = "number_or_none")]
    length: Option<u64>,
    /// Sectors that are not as `keep` has them, as `page.sector.version`, parted by
    /// commas; version 0 is what is durable. At most 200.
    #[param(value_type = Option<String>)]
    #[serde(deserialize_with = "exceptions")]
    but: Vec<Exception>,
}

fn exceptions<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Exception>, D::Error> {
    let all = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
    let mut found = Vec::new();
    for text in all.split(',').filter(|text| !text.is_empty()) {
        let exception = Exception::of(text).ok_or_else(|| {
            let text = text::visible(text);
            de::Error::custom(format!(
                "'{text}' is no sector: 63.4.1 is version 1 of sector 4 of page 63"
            ))
        })?;
        found.push(exception);
    }
    if found.len() > EXCEPTIONS_MAX {
        let problem = format!("more than {EXCEPTIONS_MAX} sectors are named");
        return Err(de::Error::custom(problem));
    }
    Ok(found)
}

impl CrashParams {
    fn choice(self, first: &Choice) -> Result<Choice, Error> {
        let place = |step: u64| {
            let place = usize::try_from(step)
                .ok()
                .and_then(|step| step.checked_sub(1));
            place.ok_or_else(|| Error::Query("steps are counted from 1".to_owned()))
        };
        let keep = match self.keep.as_deref().unwrap_or_default() {
            "" | "all" => Keep::All,
            "none" => Keep::None,
            "random" => Keep::Random(self.seed.unwrap_or(1)),
            other => {
                let other = text::visible(other);
                return Err(Error::Query(format!(
                    "'{other}' is neither all nor none nor random"
                )));
            }
        };
        Ok(Choice {
            at: self.at.map_or(Ok(first.at), place)?,
            without: self.without.map(place).transpose()?,
            keep,
            length: self.length,
            but: self.but,
        })
    }
}

#[derive(Template)]
#[template(path = "crash.html")]
struct CrashPage<'a> {
    shell: &'a Shell,
    view: &'a CrashView,
}

/// What a crash at a moment of a trace can leave, and what recovery makes of it.
#[utoipa::path(get, path = "/f/{file}/crash.json", tag = "file",
    params(("file" = String, Path, description = "The trace's id"), CrashParams),
    responses((status = 200, body = CrashView), (status = 400, body = crate::error_page::Said),
        (status = 404, body = crate::error_page::Said)))]
pub(crate) async fn show(asked: Asked) -> Response {
    let view = view(&asked).await;
    asked.answer_of(view, |shell, view| CrashPage { shell, view }.render())
}

async fn view(asked: &Asked) -> Result<(Arc<File>, Head, CrashView), Error> {
    let file = asked.file()?;
    let traced = file.traced.as_ref().ok_or(Error::NoTrace)?;
    let params: CrashParams = asked.query()?;
    let choice = params.choice(&traced.choice)?;
    let image = asked.viewer.image_of(traced, choice.clone())?;
    // Before the image is asked: it is what says what is wrong with a choice.
    let (simulator, wanted) = (Arc::clone(&traced.simulator), choice.clone());
    let found = tokio::task::spawn_blocking(move || Found::of(&simulator, &wanted)).await;
    let found = found.map_err(|_| Error::Panic)??;
    let told = image.source.ask(told).await?;
    let end = Choice::all(traced.simulator.steps().len());
    let end = asked.viewer.image_of(traced, end)?;
    let kinds = kinds(&end, &traced.simulator, &found.doubt).await?;
    let view = Making {
        base: &asked.viewer.href(&format!("/f/{}/crash", traced.id)),
        choice: &choice,
        kinds: &kinds,
        traced,
    }
    .view(&image, told, &found);
    Ok((Arc::clone(&image), view.state.clone(), view))
}

fn told(view: &mut View) -> Result<Told, LookError> {
    let head = Head::of(view)?;
    let recovery = &head.summary.recovery;
    Ok(Told {
        explanation: recovery.explanation.clone(),
        reasons: recovery.steps.iter().cloned().map(Reason::from).collect(),
        head: head.checked(view),
    })
}

/// What pages are once all is written, of those that are written.
async fn kinds(
    end: &File,
    simulator: &Simulator,
    doubt: &Doubt,
) -> Result<HashMap<u64, String>, LookError> {
    let written = simulator.steps().iter().filter_map(|step| match step {
        Step::Write { page, .. } => Some(*page),
        Step::Zero { first, .. } => Some(*first),
        _ => None,
    });
    let doubtful = doubt.survivors.sectors.iter().map(|it| it.page);
    let mut pages: Vec<u64> = written.chain(doubtful).collect();
    pages.sort_unstable();
    pages.dedup();
    end.source
        .ask(move |view| {
            let legend = Legend::new(view.look().page_kinds()?);
            let mut kinds = HashMap::new();
            for &page in &pages {
                // Past the end there is none.
                if let Some(&code) = view.look().kinds(page, 1)?.first() {
                    kinds.insert(page, legend.name(code).to_owned());
                }
            }
            Ok(kinds)
        })
        .await
}
