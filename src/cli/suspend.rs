//! `moin suspend` and `moin resume`: an operator's switch for what the daemon does.

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::args::{ClusterArgs, SettingsArgs};
use super::reconciliation::Operated;
use super::{BoxError, Outcome, output};
use crate::status::{ALL_UNITS, Suspension};

/// The field manager of the list of suspensions.
const MANAGER: &str = "moin-suspend";

/// Keep the daemon from writing: a unit, or everything.
///
/// What is suspended is neither applied nor pruned, and drift in it stays; it is still planned, so that `moin status` tells
/// how it stands, and who suspended it and why.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    moin suspend stage/tenants --reason 'the cloud is being repaired'\n  \
    moin suspend --all\n  \
    moin suspend                                what is suspended now")]
pub struct SuspendArgs {
    #[command(flatten)]
    which: Which,
    /// Why, for those who find it suspended.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Let the daemon go on with what was suspended.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    moin resume stage/tenants\n  \
    moin resume --all                           everything that is suspended")]
pub struct ResumeArgs {
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, Args)]
struct Which {
    /// Name of a unit, as `moin status` shows it.
    unit: Option<String>,
    /// All units.
    #[arg(long, conflicts_with = "unit")]
    all: bool,
    /// Owner name, where several repositories reconcile the cluster.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    settings: SettingsArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

impl Which {
    async fn find(&self) -> Result<Operated, BoxError> {
        Operated::find(&self.settings, &self.cluster, self.name.as_deref()).await
    }

    fn unit(&self) -> Option<&str> {
        self.unit.as_deref().or(self.all.then_some(ALL_UNITS))
    }
}

/// Run `moin suspend`.
pub fn suspend(args: &SuspendArgs) -> Outcome {
    tokio::runtime::Runtime::new()?.block_on(async {
        let mut operated = args.which.find().await?;
        let Some(unit) = args.which.unit() else { return list(&operated.live.body) };
        known(unit, &operated.live.body)?;
        let suspension = Suspension {
            unit: unit.to_owned(),
            by: operated.cluster.whoami().await.map(|user| user.name).unwrap_or_default(),
            since: Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            reason: args.reason.clone().unwrap_or_default(),
        };
        let edit = |body: &Value| {
            let others = Suspension::all_of(body).into_iter().filter(|old| old.unit != suspension.unit);
            others.chain([suspension.clone()]).map(|suspension| json!(suspension)).collect()
        };
        operated.edit("suspensions", MANAGER, edit).await?;
        list(&operated.live.body)
    })
}

/// Run `moin resume`.
pub fn resume(args: &ResumeArgs) -> Outcome {
    tokio::runtime::Runtime::new()?.block_on(async {
        let mut operated = args.which.find().await?;
        let Some(unit) = args.which.unit() else {
            return Err("which unit? name one, or say --all".into());
        };
        let now = Suspension::all_of(&operated.live.body);
        if unit != ALL_UNITS && !now.iter().any(|suspension| suspension.unit == unit) {
            let everything = now.iter().any(|suspension| suspension.unit == ALL_UNITS);
            let help = if everything { "; everything is: `moin resume --all`" } else { "" };
            return Err(format!("the unit {unit} is not suspended{help}").into());
        }
        let edit = |body: &Value| {
            let kept = Suspension::all_of(body).into_iter();
            kept.filter(|old| unit != ALL_UNITS && old.unit != unit).map(|old| json!(old)).collect()
        };
        operated.edit("suspensions", MANAGER, edit).await?;
        list(&operated.live.body)
    })
}

fn list(body: &Value) -> Outcome {
    let all = Suspension::all_of(body);
    let line = |suspension: &Suspension| {
        let unit = if suspension.unit == ALL_UNITS { "everything" } else { &suspension.unit };
        format!("{unit}: {}\n", suspension.words())
    };
    output::words(&match all.is_empty() {
        true => "nothing is suspended\n".to_owned(),
        false => all.iter().map(line).collect(),
    })?;
    Ok(0)
}

/// A unit that nobody knows would be suspended in vain.
fn known(unit: &str, body: &Value) -> Result<(), BoxError> {
    let units = body["status"]["units"].as_array().into_iter().flatten();
    let names: Vec<&str> = units.filter_map(|unit| unit["name"].as_str()).collect();
    if unit == ALL_UNITS || names.contains(&unit) {
        return Ok(());
    }
    Err(format!("there is no unit {unit:?}; units are {}", names.join(", ")).into())
}
