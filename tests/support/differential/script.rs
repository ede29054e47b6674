//! Scripts of calls.
//!
//! ```text
//! # a comment
//! GET /api/v1/namespaces/a?pretty=true
//! Accept: application/yaml
//! > rv = .metadata.resourceVersion      keeps a part of the answer; ${rv} and ${rv+1} stand for it from here on
//! ? .status.phase == Active             repeats the call until this is so (20 s at most); `code` is the status
//! ! ignore .status.podIP                leaves a part out of the comparison
//! ! skip                                makes the call and does not compare the answer
//! ! headers                             compares the code and the headers alone
//! ! code                                compares the code alone
//! ! served                              leaves out of the real answer the groups, versions and resources that we have not
//! ! known WHY                           differs, and stays so: the test fails when it does not any more
//! {"the": "body", "may": ["go", "over", "lines"]}
//!
//! WATCH name /path?watch=true           begins to follow
//! EVENTS name 3                         the next three events (and, after 10 s, what has come)
//! QUIET name                            what comes within half a second
//! CLOSED name                           what comes until the stream ends
//! SORTED name 3                         as EVENTS, in an order of their own
//! PAUSE 300                             milliseconds
//! ```
//! A body that is no JSON stands after `<<<`, to the end of the step.

/// One step of a script.
#[derive(Debug, Clone)]
pub struct Step {
    pub line: usize,
    /// The first line.
    pub head: String,
    pub action: Action,
    pub headers: Vec<(String, String)>,
    pub body: String,
    pub captures: Vec<(String, String)>,
    pub conditions: Vec<(String, String)>,
    pub directives: Vec<String>,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    Call { method: String, path: String },
    Watch { name: String, path: String },
    Events { name: String, count: usize, sorted: bool },
    Quiet { name: String },
    Closed { name: String },
    Pause(u64),
}

impl Step {
    pub fn is_skipped(&self) -> bool {
        self.has("skip")
    }

    pub fn has(&self, directive: &str) -> bool {
        self.directives.iter().any(|given| given == directive)
    }

    pub fn known(&self) -> Option<&str> {
        self.directives.iter().find_map(|directive| directive.strip_prefix("known "))
    }

    pub fn ignored(&self) -> impl Iterator<Item = &str> {
        self.directives.iter().filter_map(|directive| directive.strip_prefix("ignore "))
    }
}

/// The steps of a script.
pub fn parse(text: &str) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    let mut lines = text.lines().enumerate().peekable();
    while let Some((at, line)) = lines.next() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let mut step = Step {
            line: at + 1,
            head: line.to_owned(),
            action: action(line).ok_or_else(|| format!("line {}: not understood: {line}", at + 1))?,
            headers: Vec::new(),
            body: String::new(),
            captures: Vec::new(),
            conditions: Vec::new(),
            directives: Vec::new(),
        };
        while let Some((at, line)) = lines.next_if(|(_, line)| !line.trim().is_empty()) {
            more(&mut step, line).ok_or_else(|| format!("line {}: not understood: {line}", at + 1))?;
        }
        steps.push(step);
    }
    Ok(steps)
}

fn action(line: &str) -> Option<Action> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let text = |at: usize| words.get(at).map(|word| (*word).to_owned());
    Some(match *words.first()? {
        "WATCH" => Action::Watch { name: text(1)?, path: text(2)? },
        "EVENTS" => Action::Events { name: text(1)?, count: text(2)?.parse().ok()?, sorted: false },
        "SORTED" => Action::Events { name: text(1)?, count: text(2)?.parse().ok()?, sorted: true },
        "QUIET" => Action::Quiet { name: text(1)? },
        "CLOSED" => Action::Closed { name: text(1)? },
        "PAUSE" => Action::Pause(text(1)?.parse().ok()?),
        method => Action::Call { method: method.to_owned(), path: text(1)? },
    })
}

fn more(step: &mut Step, line: &str) -> Option<()> {
    let pair =
        |rest: &str, by: &str| rest.split_once(by).map(|(a, b)| (a.trim().to_owned(), b.trim().to_owned()));
    let of_the_step = line.starts_with("> ") || line.starts_with("? ") || line.starts_with("! ");
    if !step.body.is_empty() && !of_the_step {
        step.body.push_str(line);
        step.body.push('\n');
    } else if line.starts_with(['{', '[']) {
        step.body = format!("{line}\n");
    } else if let Some(rest) = line.strip_prefix("<<<") {
        step.body = format!("{}\n", rest.trim_start());
    } else if let Some(rest) = line.strip_prefix("> ") {
        step.captures.push(pair(rest, "=")?);
    } else if let Some(rest) = line.strip_prefix("? ") {
        step.conditions.push(pair(rest, "==")?);
    } else if let Some(rest) = line.strip_prefix("! ") {
        step.directives.push(rest.trim().to_owned());
    } else if line.starts_with('#') {
    } else {
        step.headers.push(pair(line, ": ")?);
    }
    Some(())
}
