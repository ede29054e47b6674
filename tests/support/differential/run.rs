//! Performing the steps of a script on one server.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use futures::{AsyncBufReadExt as _, StreamExt as _, TryStreamExt as _};
use http_body_util::BodyExt as _;
use kube::client::Body;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use super::normalise::{self, Names};
use super::script::{Action, Step};

/// How long an event, or the end of a stream, is waited for.
const EVENTS_WITHIN: Duration = Duration::from_secs(10);
/// How long a condition is waited for.
const CONDITION_WITHIN: Duration = Duration::from_secs(20);
const QUIET_FOR: Duration = Duration::from_millis(500);
/// The headers that are compared.
const HEADERS: [&str; 9] = [
    "content-type",
    "warning",
    "allow",
    "retry-after",
    "content-encoding",
    "vary",
    "cache-control",
    "location",
    "x-content-type-options",
];

/// One of the two servers, with what the script has learnt of it.
pub struct Side {
    client: kube::Client,
    names: Names,
    variables: HashMap<String, String>,
    watches: HashMap<String, mpsc::UnboundedReceiver<String>>,
}

/// What came of a step.
#[derive(Debug, Default)]
pub struct Observed {
    code: Option<u16>,
    headers: Vec<String>,
    content: Content,
}

#[derive(Debug, Default)]
enum Content {
    #[default]
    Nothing,
    Json(Value),
    Text(String),
    Events(Vec<Value>),
}

impl Observed {
    /// The names of the groups, versions and resources in an answer.
    pub fn served(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        if let Content::Json(value) = &self.content {
            normalise::served(value, "", &mut names);
        }
        names
    }

    /// The comparable text of it.
    pub fn text(&self, step: &Step, served: Option<&BTreeSet<String>>) -> String {
        let mut text = String::new();
        if let Some(code) = self.code {
            text = format!("{code}\n");
        }
        if step.has("code") {
            return text;
        }
        for header in &self.headers {
            text.push_str(header);
            text.push('\n');
        }
        if step.has("headers") {
            return text;
        }
        let pretty = |value: &Value| {
            let mut value = value.clone();
            if let Some(served) = served {
                normalise::keep_served(&mut value, "", served);
            }
            step.ignored().for_each(|path| normalise::remove(&mut value, path));
            serde_json::to_string_pretty(&value).unwrap_or_default() + "\n"
        };
        match &self.content {
            Content::Nothing => {}
            Content::Json(value) => text.push_str(&pretty(value)),
            Content::Text(body) => text.push_str(body),
            Content::Events(events) => {
                let mut events: Vec<String> = events.iter().map(pretty).collect();
                if matches!(step.action, Action::Events { sorted: true, .. }) {
                    events.sort();
                }
                text.push_str(&events.concat());
            }
        }
        text
    }
}

impl Side {
    pub fn new(client: kube::Client) -> Side {
        Side { client, names: Names::default(), variables: HashMap::new(), watches: HashMap::new() }
    }

    /// Performs a step.
    pub async fn perform(&mut self, step: &Step) -> Observed {
        match &step.action {
            Action::Call { method, path } => self.call(step, method, path).await,
            Action::Watch { name, path } => self.watch(step, name, path).await,
            Action::Events { name, count, .. } => self.events(name, *count, EVENTS_WITHIN, false).await,
            Action::Quiet { name } => self.events(name, usize::MAX, QUIET_FOR, false).await,
            Action::Closed { name } => self.events(name, usize::MAX, EVENTS_WITHIN, true).await,
            Action::Pause(milliseconds) => {
                tokio::time::sleep(Duration::from_millis(*milliseconds)).await;
                Observed::default()
            }
        }
    }

    fn request(&self, step: &Step, method: &str, path: &str) -> http::Request<Body> {
        let mut request = http::Request::builder()
            .method(method)
            .uri(self.filled(path))
            .header("user-agent", "differential/1");
        for (name, value) in &step.headers {
            request = request.header(name, self.filled(value));
        }
        if !step.body.is_empty()
            && !step.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"))
        {
            request = request.header("content-type", "application/json");
        }
        request.body(Body::from(self.filled(&step.body).into_bytes())).expect("a well-formed step")
    }

    /// A text with `${name}` and `${name+1}` replaced.
    fn filled(&self, text: &str) -> String {
        let mut filled = text.to_owned();
        for (name, value) in &self.variables {
            filled = filled.replace(&format!("${{{name}}}"), value);
            if let Ok(number) = value.parse::<i64>() {
                for offset in [1, 1_000_000] {
                    filled = filled.replace(&format!("${{{name}+{offset}}}"), &(number + offset).to_string());
                    filled = filled.replace(&format!("${{{name}-{offset}}}"), &(number - offset).to_string());
                }
            }
        }
        // A big body is written as ${fill:NUMBER}.
        if let Some((before, rest)) = filled.split_once("${fill:")
            && let Some((number, after)) = rest.split_once('}')
            && let Ok(number) = number.parse()
        {
            filled = format!("{before}{}{after}", "x".repeat(number));
        }
        filled
    }

    async fn call(&mut self, step: &Step, method: &str, path: &str) -> Observed {
        let end = Instant::now() + CONDITION_WITHIN;
        loop {
            let request = self.request(step, method, path);
            let answer = timeout(CONDITION_WITHIN, self.client.send(request)).await;
            let (parts, body) = answer.expect("an answer in time").expect("an answer").into_parts();
            let bytes = match timeout(EVENTS_WITHIN, body.collect()).await {
                Ok(Ok(collected)) => collected.to_bytes(),
                Ok(Err(error)) => format!("the body broke off: {error}").into_bytes().into(),
                Err(_) => "the body does not end".into(),
            };
            let json = serde_json::from_slice::<Value>(&bytes).ok();
            let holds = |(path, wanted): &(String, String)| {
                if path == "code" {
                    return parts.status.as_str() == wanted;
                }
                let found = json.as_ref().map_or(&Value::Null, |json| normalise::at(json, path));
                found.as_str().map_or_else(|| found.to_string(), str::to_owned) == *wanted
            };
            if !step.conditions.iter().all(holds) && Instant::now() < end {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
            for (name, path) in &step.captures {
                let found = json.as_ref().map_or(&Value::Null, |json| normalise::at(json, path));
                let text = found.as_str().map_or_else(|| found.to_string(), str::to_owned);
                self.variables.insert(name.clone(), text);
            }
            if step.is_skipped() {
                return Observed::default();
            }
            return self.observed(&parts, json, &bytes);
        }
    }

    fn observed(&mut self, parts: &http::response::Parts, json: Option<Value>, bytes: &[u8]) -> Observed {
        let headers = HEADERS
            .iter()
            .flat_map(|name| parts.headers.get_all(*name).iter().map(move |value| (name, value)))
            .map(|(name, value)| self.names.text(&format!("{name}: {}", value.to_str().unwrap_or("?"))))
            .collect();
        let content = match json {
            Some(mut json) => {
                self.names.json(&mut json);
                Content::Json(json)
            }
            None => Content::Text(self.names.text(&String::from_utf8_lossy(bytes))),
        };
        Observed { code: Some(parts.status.as_u16()), headers, content }
    }

    /// Begins to follow a stream; a refusal is observed as an answer.
    async fn watch(&mut self, step: &Step, name: &str, path: &str) -> Observed {
        let request = self.request(step, "GET", path);
        let answer = timeout(CONDITION_WITHIN, self.client.send(request)).await;
        let (parts, body) = answer.expect("an answer in time").expect("an answer").into_parts();
        if parts.status != 200 {
            let whole = timeout(EVENTS_WITHIN, body.collect()).await;
            let bytes =
                whole.map_or_else(|_| "no end".into(), |body| body.expect("a whole answer").to_bytes());
            let json = serde_json::from_slice::<Value>(&bytes).ok();
            return self.observed(&parts, json, &bytes);
        }
        let (sender, receiver) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let reader = body.into_data_stream().map_err(std::io::Error::other).into_async_read();
            let mut lines = reader.lines();
            while let Some(Ok(line)) = lines.next().await {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        self.watches.insert(name.to_owned(), receiver);
        let mut observed = self.observed(&parts, None, b"");
        observed.content = Content::Nothing;
        observed
    }

    async fn events(&mut self, name: &str, count: usize, within: Duration, to_the_end: bool) -> Observed {
        let mut found = Vec::new();
        let end = Instant::now() + within;
        let Some(receiver) = self.watches.get_mut(name) else {
            return Observed { content: Content::Text(format!("no watch {name}\n")), ..Observed::default() };
        };
        let mut ended = false;
        while found.len() < count {
            let next = if to_the_end || count < usize::MAX {
                timeout_at(end, receiver.recv()).await
            } else {
                timeout(within, receiver.recv()).await
            };
            match next {
                Ok(Some(line)) => {
                    let event = serde_json::from_str(&line).unwrap_or(Value::String(line));
                    // When a bookmark comes is a matter of clocks, but for the one that ends the initial events.
                    if event["type"] != "BOOKMARK" || event.to_string().contains("initial-events-end") {
                        found.push(event);
                    }
                }
                Ok(None) => {
                    ended = true;
                    break;
                }
                Err(_) => break,
            }
        }
        for event in &mut found {
            self.names.json(event);
        }
        if ended {
            found.push(Value::String("the stream ended".to_owned()));
        }
        Observed { code: None, headers: Vec::new(), content: Content::Events(found) }
    }
}
