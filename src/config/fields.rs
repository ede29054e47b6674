//! Reading a document field by field: what is wrong becomes a finding with its line, what is right is kept.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::finding::{Code, Finding, Location, any_of, nearest};
use crate::model::{FieldPath, RepoPath, SourceText};
use crate::yaml::Places;

/// What was wrong in a document.
pub(super) struct Problems {
    places: Places,
    code: Code,
    pub findings: Vec<Finding>,
}

impl Problems {
    pub fn of(source: &SourceText, code: Code) -> Problems {
        Problems { places: Places::of(source), code, findings: Vec::new() }
    }

    pub fn place(&self, path: &FieldPath) -> Location {
        self.places.locate(path)
    }

    /// Reports something about the field at `path`.
    pub fn add(&mut self, path: &FieldPath, message: impl Into<String>) -> &mut Finding {
        let finding = Finding::error(self.code, message).at(self.place(path));
        self.findings.push(finding);
        self.findings.last_mut().expect("just pushed")
    }
}

/// A mapping that is being read. Fields that nobody asked for are reported by [`Fields::finish`].
pub(super) struct Fields<'v> {
    map: Option<&'v Map<String, Value>>,
    pub path: FieldPath,
    known: Vec<&'static str>,
}

impl<'v> Fields<'v> {
    /// The mapping at `path`; anything else is reported and read as an empty one. Null is an empty mapping, too.
    pub fn of(value: Option<&'v Value>, path: FieldPath, problems: &mut Problems) -> Fields<'v> {
        let map = match value {
            None | Some(Value::Null) => None,
            Some(Value::Object(map)) => Some(map),
            Some(other) => {
                problems.add(&path, format!("{} must be a mapping, not {}", named(&path), kind_of(other)));
                None
            }
        };
        Fields { map, path, known: Vec::new() }
    }

    /// A field that is there and not null, and its path.
    pub fn get(&mut self, key: &'static str) -> Option<(&'v Value, FieldPath)> {
        // A field may be asked for twice, for two parts of what it holds.
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        let value = self.map?.get(key).filter(|value| !value.is_null())?;
        Some((value, self.path.key(key)))
    }

    pub fn mapping(&mut self, key: &'static str, problems: &mut Problems) -> Fields<'v> {
        let value = self.get(key);
        let path = self.path.key(key);
        Fields::of(value.map(|(value, _)| value), path, problems)
    }

    /// The entries of a mapping whose keys are names.
    pub fn entries(&mut self, key: &'static str, problems: &mut Problems) -> Vec<(&'v str, Fields<'v>)> {
        let inner = self.mapping(key, problems);
        let Some(map) = inner.map else { return Vec::new() };
        map.iter()
            .map(|(name, value)| (name.as_str(), Fields::of(Some(value), inner.path.key(name), problems)))
            .collect()
    }

    /// A mapping from names to texts.
    pub fn text_map(&mut self, key: &'static str, problems: &mut Problems) -> BTreeMap<String, String> {
        let inner = self.mapping(key, problems);
        let entries = inner.map.into_iter().flatten();
        entries
            .filter_map(|(name, value)| {
                let text = text(value, &inner.path.key(name), problems)?;
                Some((name.clone(), text.to_owned()))
            })
            .collect()
    }

    pub fn list(&mut self, key: &'static str, problems: &mut Problems) -> Vec<(&'v Value, FieldPath)> {
        match self.get(key) {
            None => Vec::new(),
            Some((Value::Array(items), path)) => {
                items.iter().enumerate().map(|(i, item)| (item, path.index(i))).collect()
            }
            Some((other, path)) => {
                problems.add(&path, format!("{} must be a list, not {}", named(&path), kind_of(other)));
                Vec::new()
            }
        }
    }

    pub fn mappings(&mut self, key: &'static str, problems: &mut Problems) -> Vec<Fields<'v>> {
        let items = self.list(key, problems);
        items.into_iter().map(|(value, path)| Fields::of(Some(value), path, problems)).collect()
    }

    pub fn text(&mut self, key: &'static str, problems: &mut Problems) -> Option<&'v str> {
        let (value, path) = self.get(key)?;
        text(value, &path, problems)
    }

    pub fn texts(&mut self, key: &'static str, problems: &mut Problems) -> Vec<(&'v str, FieldPath)> {
        let items = self.list(key, problems);
        items.into_iter().filter_map(|(value, path)| Some((text(value, &path, problems)?, path))).collect()
    }

    /// Folders or files of the repository.
    pub fn paths(&mut self, key: &'static str, problems: &mut Problems) -> Vec<RepoPath> {
        let texts = self.texts(key, problems);
        texts.into_iter().filter_map(|(text, path)| repo_path(text, &path, problems)).collect()
    }

    /// One of a few words.
    pub fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        choices: &[(&str, T)],
        problems: &mut Problems,
    ) -> Option<T> {
        let word = self.text(key, problems)?;
        let found = choices.iter().find(|(name, _)| *name == word).map(|(_, value)| *value);
        if found.is_none() {
            let path = self.path.key(key);
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            problems.add(&path, format!("{} is {word:?}, but must be {}", named(&path), any_of(&names)));
        }
        found
    }

    pub fn count(&mut self, key: &'static str, problems: &mut Problems) -> Option<u32> {
        let (value, path) = self.get(key)?;
        let count = value.as_u64().and_then(|count| u32::try_from(count).ok());
        if count.is_none() {
            problems.add(&path, format!("{} must be a whole number that is not negative", named(&path)));
        }
        count
    }

    pub fn flag(&mut self, key: &'static str, problems: &mut Problems) -> Option<bool> {
        let (value, path) = self.get(key)?;
        let flag = value.as_bool();
        if flag.is_none() {
            problems.add(&path, format!("{} must be true or false", named(&path)));
        }
        flag
    }

    pub fn duration(&mut self, key: &'static str, problems: &mut Problems) -> Option<Duration> {
        let (value, path) = self.get(key)?;
        let text = text(value, &path, problems)?;
        match humantime::parse_duration(text) {
            Ok(duration) => Some(duration),
            Err(error) => {
                let message = format!("{} is no duration ({error}); write 30s or 10m", named(&path));
                problems.add(&path, message);
                None
            }
        }
    }

    /// Reports the fields that nobody asked for.
    pub fn finish(self, problems: &mut Problems) {
        let Some(map) = self.map else { return };
        for key in map.keys().filter(|key| !self.known.contains(&key.as_str())) {
            let path = self.path.key(key);
            let known = any_of(&self.known);
            let near = nearest(key, &self.known);
            let finding = problems.add(&path, format!("unknown field {path}"));
            finding.help = Some(match near {
                Some(near) => format!("did you mean {near}?"),
                None => format!("the fields here are {}", known.replace(" or ", " and ")),
            });
        }
    }
}

pub(super) fn text<'v>(value: &'v Value, path: &FieldPath, problems: &mut Problems) -> Option<&'v str> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text),
        Value::Bool(_) | Value::Number(_) => {
            let message = format!("{} must be text, but YAML reads {}", named(path), kind_of(value));
            problems.add(path, message).help = Some("put the value in quotes".to_owned());
            None
        }
        other => {
            problems.add(path, format!("{} must be text, not {}", named(path), kind_of(other)));
            None
        }
    }
}

pub(super) fn repo_path(text: &str, path: &FieldPath, problems: &mut Problems) -> Option<RepoPath> {
    match text.parse() {
        Ok(parsed) if !text.starts_with('/') => Some(parsed),
        Ok(_) => {
            problems
                .add(path, format!("{text:?} must be a path inside the repository, without a leading '/'"));
            None
        }
        Err(error) => {
            problems.add(path, error.to_string());
            None
        }
    }
}

fn named(path: &FieldPath) -> String {
    if path.0.is_empty() { "the document".to_owned() } else { path.to_string() }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(text) if text.is_empty() => "an empty text",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}
