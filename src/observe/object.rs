//! An object as the rules look at it.

use serde_json::Value;

use crate::model::{Gvk, Health, HealthStatus};

/// An object, with what the rules ask for.
#[derive(Clone, Copy)]
pub(super) struct Object<'v> {
    body: &'v Value,
}

/// A condition of an object.
#[derive(Clone, Copy)]
pub(super) struct Condition<'v> {
    entry: &'v Value,
}

impl<'v> Object<'v> {
    pub fn new(body: &'v Value) -> Object<'v> {
        Object { body }
    }

    /// The value at a path of keys; null if there is none.
    pub fn at(&self, path: &[&str]) -> &'v Value {
        path.iter().fold(self.body, |value, key| &value[*key])
    }

    pub fn text(&self, path: &[&str]) -> &'v str {
        self.at(path).as_str().unwrap_or_default()
    }

    pub fn flag(&self, path: &[&str]) -> bool {
        self.at(path).as_bool().unwrap_or(false)
    }

    pub fn int(&self, path: &[&str]) -> Option<i64> {
        self.at(path).as_i64()
    }

    /// A number of the status; 0 if it is not there.
    pub fn count(&self, field: &str) -> i64 {
        self.int(&["status", field]).unwrap_or(0)
    }

    pub fn list(&self, path: &[&str]) -> &'v [Value] {
        self.at(path).as_array().map_or(&[], Vec::as_slice)
    }

    pub fn annotation(&self, name: &str) -> Option<&'v str> {
        self.at(&["metadata", "annotations"])[name].as_str()
    }

    pub fn gvk(&self) -> Option<Gvk> {
        Gvk::of(self.body).ok()
    }

    pub fn has_status(&self) -> bool {
        self.at(&["status"]).as_object().is_some_and(|status| !status.is_empty())
    }

    pub fn generation(&self) -> Option<i64> {
        self.int(&["metadata", "generation"])
    }

    /// Whether the status speaks of an older spec; without both numbers nobody can tell.
    pub fn is_stale(&self) -> bool {
        match (self.generation(), self.int(&["status", "observedGeneration"])) {
            (Some(generation), Some(observed)) => observed < generation,
            _ => false,
        }
    }

    /// Whether the status speaks of this spec for certain.
    pub fn is_observed(&self) -> bool {
        match (self.generation(), self.int(&["status", "observedGeneration"])) {
            (None, _) => true,
            (Some(generation), observed) => observed.is_some_and(|observed| observed >= generation),
        }
    }

    pub fn conditions(&self) -> impl Iterator<Item = Condition<'v>> {
        self.list(&["status", "conditions"]).iter().map(|entry| Condition { entry })
    }

    pub fn condition(&self, kind: &str) -> Option<Condition<'v>> {
        self.conditions().find(|condition| condition.kind() == kind)
    }

    /// The condition, if it is `True` and speaks of this spec.
    pub fn is_true(&self, kind: &str) -> Option<Condition<'v>> {
        self.condition(kind).filter(|condition| condition.is("True") && !condition.is_stale(self))
    }
}

impl<'v> Condition<'v> {
    pub fn of(entry: &'v Value) -> Condition<'v> {
        Condition { entry }
    }

    pub fn kind(&self) -> &'v str {
        self.entry["type"].as_str().unwrap_or_default()
    }

    pub fn reason(&self) -> &'v str {
        self.entry["reason"].as_str().unwrap_or_default()
    }

    pub fn is(&self, status: &str) -> bool {
        self.entry["status"].as_str() == Some(status)
    }

    /// False, and its controller says that it will not get better by waiting (Cluster API until v1beta1).
    pub fn is_severe(&self) -> bool {
        self.is("False") && self.entry["severity"].as_str() == Some("Error")
    }

    /// Whether it speaks of an older spec.
    pub fn is_stale(&self, object: &Object<'_>) -> bool {
        match (object.generation(), self.entry["observedGeneration"].as_i64()) {
            (Some(generation), Some(observed)) => observed < generation,
            _ => false,
        }
    }

    /// A sentence: the message if there is one, else the reason, else the type and status.
    pub fn sentence(&self) -> String {
        let message = self.entry["message"].as_str().unwrap_or_default().trim();
        match (message.is_empty(), self.reason()) {
            (false, "") => message.to_owned(),
            (false, reason) => format!("{reason}: {message}"),
            (true, "") => {
                format!("{} is {}", self.kind(), self.entry["status"].as_str().unwrap_or("unknown"))
            }
            (true, reason) => format!("{}: {reason}", self.kind()),
        }
    }
}

pub(super) fn healthy(reason: impl Into<String>) -> Health {
    Health::new(HealthStatus::Healthy, reason)
}

pub(super) fn progressing(reason: impl Into<String>) -> Health {
    Health::new(HealthStatus::Progressing, reason)
}

pub(super) fn degraded(reason: impl Into<String>) -> Health {
    Health::new(HealthStatus::Degraded, reason)
}

pub(super) fn suspended(reason: impl Into<String>) -> Health {
    Health::new(HealthStatus::Suspended, reason)
}

pub(super) fn unknown(reason: impl Into<String>) -> Health {
    Health::new(HealthStatus::Unknown, reason)
}

/// The status is of an older spec.
pub(super) fn stale(object: &Object<'_>) -> Health {
    let generation = object.generation().unwrap_or_default();
    progressing(format!("its controller has not yet seen generation {generation}"))
}
