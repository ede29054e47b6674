//! How it looks on a terminal.

use anstyle::{AnsiColor, Style};
use serde_json::Value;

use super::news::findings;
use super::{Kind, Seat, State, condition, harmless, holder, is_true, short};

/// What there is room for.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    pub columns: usize,
    pub lines: usize,
    pub color: bool,
}

/// How many findings of a management cluster are shown.
const FINDINGS: usize = 3;

/// The lines of the picture, at most as many and as wide as there is room for; the last news fill what is left.
pub fn draw(state: &State, room: Room) -> Vec<String> {
    let mut canvas = Canvas { room, lines: Vec::new() };
    canvas.line(&[(Look::Title, "moin demo  "), (Look::Plain, &state.repository)]);
    for seat in &state.seats {
        canvas.line(&[]);
        draw_seat(seat, &mut canvas);
    }
    canvas.line(&[]);
    let left = room.lines.saturating_sub(canvas.lines.len());
    for news in state.news.iter().skip(state.news.len().saturating_sub(left)) {
        let on = format!("{:8} ", news.on);
        canvas.line(&[
            (Look::Dim, &news.at),
            (Look::Plain, "  "),
            (Look::Title, &on),
            (Look::Plain, &news.text),
        ]);
    }
    canvas.lines.truncate(room.lines);
    canvas.lines
}

fn draw_seat(seat: &Seat, canvas: &mut Canvas) {
    let report = seat.one(Kind::Reconciliation);
    let lease = match holder(seat.one(Kind::Lease)) {
        None => (Look::Bad, "nobody".to_owned()),
        Some((name, true)) => (Look::Busy, format!("{name}, which stands in")),
        Some((name, false)) => (Look::Good, name.to_owned()),
    };
    let applied = report["status"]["appliedRevision"].as_str().map_or("nothing", short);
    let standing = condition(report, "Ready").and_then(|ready| ready["message"].as_str()).unwrap_or("empty");
    let look = if is_true(report, "Ready") { Look::Good } else { Look::Busy };
    canvas.line(&[
        (Look::Title, &format!("{:8}", seat.name)),
        (Look::Dim, &format!("{}  ", seat.url)),
        (Look::Plain, &format!("applied {applied}  lease ")),
        (lease.0, &lease.1),
        (Look::Plain, "  "),
        (look, standing),
    ]);
    let stages: Vec<(Look, String)> =
        report["status"]["units"].as_array().into_iter().flatten().map(stage).collect();
    let mut words: Vec<(Look, &str)> = vec![(Look::Dim, "  stages ")];
    words.extend(stages.iter().map(|(look, text)| (*look, text.as_str())));
    if !stages.is_empty() {
        canvas.line(&words);
    }
    draw_objects(seat, canvas);
    let found = findings(report);
    for finding in found.iter().take(FINDINGS) {
        canvas.line(&[(Look::Bad, "  ! "), (Look::Plain, finding)]);
    }
    if found.len() > FINDINGS {
        canvas.line(&[(Look::Bad, &format!("  ! and {} more (moin status)", found.len() - FINDINGS))]);
    }
}

/// A stage and how far it is.
fn stage(unit: &Value) -> (Look, String) {
    let text = |field: &str| unit[field].as_str().unwrap_or_default();
    let name = text("name").trim_start_matches("stage/");
    match text("phase") {
        "Ready" => (Look::Good, format!(" {name}")),
        phase @ ("Failed" | "TimedOut" | "Refused") => (Look::Bad, format!(" {name}({phase})")),
        "WaitingForDependency" => (Look::Dim, format!(" {name}(waits)")),
        phase => (Look::Busy, format!(" {name}({phase})")),
    }
}

fn draw_objects(seat: &Seat, canvas: &mut Canvas) {
    for (name, cluster) in seat.of_kind(Kind::Cluster) {
        let topology = &cluster["spec"]["topology"];
        let phase = cluster["status"]["phase"].as_str().unwrap_or("new");
        let look = match (phase, is_true(cluster, "Available") && !is_true(cluster, "RollingOut")) {
            (_, true) => Look::Good,
            ("Deleting", _) => Look::Bad,
            _ => Look::Busy,
        };
        let rolls = if is_true(cluster, "RollingOut") { ", rolls" } else { "" };
        canvas.line(&[
            (Look::Dim, "  Cluster      "),
            (Look::Plain, &format!("{name:22} {:9} ", topology["version"].as_str().unwrap_or_default())),
            (look, &format!("{:20}", format!("{phase}{rolls}"))),
            (Look::Plain, &machines(seat, name)),
        ]);
    }
    for (name, stack) in seat.of_kind(Kind::ClusterStack) {
        let usable = stack["status"]["usableVersions"].as_str().unwrap_or_default();
        let (look, says) = match (is_true(stack, "Ready"), usable) {
            (true, usable) => (Look::Good, format!("usable: {usable}")),
            (false, _) => (Look::Busy, "not ready".to_owned()),
        };
        canvas.line(&[(Look::Dim, "  ClusterStack "), (Look::Plain, &format!("{name:32} ")), (look, &says)]);
    }
}

/// How many machines of a Cluster run, and in which versions.
fn machines(seat: &Seat, cluster: &str) -> String {
    let (namespace, name) = cluster.split_once('/').unwrap_or(("", cluster));
    let all: Vec<&Value> = seat
        .of_kind(Kind::Machine)
        .map(|(_, machine)| machine)
        .filter(|it| it["metadata"]["namespace"] == namespace && it["spec"]["clusterName"] == name)
        .collect();
    let running = all.iter().filter(|machine| machine["status"]["phase"] == "Running").count();
    let mut versions: Vec<&str> =
        all.iter().filter_map(|machine| machine["spec"]["version"].as_str()).collect();
    versions.sort_unstable();
    let counts: Vec<String> =
        versions.chunk_by(|a, b| a == b).map(|same| format!("{} {}", same.len(), same[0])).collect();
    let counts = if counts.len() > 1 { format!(" ({})", counts.join(", ")) } else { String::new() };
    format!("{running} of {} machines run{counts}", all.len())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Plain,
    Title,
    Dim,
    Good,
    Busy,
    Bad,
}

impl Look {
    fn style(self) -> Style {
        let color = |color: AnsiColor| Style::new().fg_color(Some(color.into()));
        match self {
            Look::Plain => Style::new(),
            Look::Title => Style::new().bold(),
            Look::Dim => Style::new().dimmed(),
            Look::Good => color(AnsiColor::Green),
            Look::Busy => color(AnsiColor::Yellow),
            Look::Bad => color(AnsiColor::Red),
        }
    }
}

struct Canvas {
    room: Room,
    lines: Vec<String>,
}

impl Canvas {
    /// One line of words; what there is no room for is cut off.
    fn line(&mut self, words: &[(Look, &str)]) {
        let mut left = self.room.columns;
        let mut line = String::new();
        for (look, word) in words {
            let text: String = harmless(word).chars().take(left).collect();
            left -= text.chars().count();
            let style = look.style();
            if self.room.color && *look != Look::Plain && !text.is_empty() {
                line.push_str(&format!("{style}{text}{style:#}"));
            } else {
                line.push_str(&text);
            }
        }
        self.lines.push(line.trim_end().to_owned());
    }
}
