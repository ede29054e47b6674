//! Reading a policy's fields with the path of each, so that a compile error can say where it is.

use serde_json::{Map, Value};

use crate::model::FieldPath;

/// Why a part of a policy cannot be used, and where that part is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CompileError {
    /// Path into the policy.
    pub(crate) path: FieldPath,
    /// What is wrong with it.
    pub(crate) message: String,
}

pub(crate) type Result<T> = std::result::Result<T, CompileError>;

/// A node of a policy and its path.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    pub(crate) value: &'a Value,
    pub(crate) path: FieldPath,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(value: &'a Value, path: FieldPath) -> Reader<'a> {
        Reader { value, path }
    }

    /// A field that is present and not null.
    pub(crate) fn field(&self, name: &str) -> Option<Reader<'a>> {
        let value = self.value.get(name).filter(|v| !v.is_null())?;
        Some(Reader::new(value, self.path.key(name)))
    }

    pub(crate) fn error(&self, message: impl Into<String>) -> CompileError {
        CompileError { path: self.path.clone(), message: message.into() }
    }

    pub(crate) fn map(&self) -> Result<&'a Map<String, Value>> {
        self.value.as_object().ok_or_else(|| self.error("a mapping is expected here"))
    }

    pub(crate) fn text(&self) -> Result<&'a str> {
        self.value.as_str().ok_or_else(|| self.error("text is expected here"))
    }

    /// A list's elements.
    pub(crate) fn items(&self) -> Result<Vec<Reader<'a>>> {
        let list = self.value.as_array().ok_or_else(|| self.error("a list is expected here"))?;
        Ok(list.iter().enumerate().map(|(i, v)| Reader::new(v, self.path.index(i))).collect())
    }

    /// The elements of a list field; none when it is absent.
    pub(crate) fn list(&self, name: &str) -> Result<Vec<Reader<'a>>> {
        self.field(name).map_or(Ok(Vec::new()), |field| field.items())
    }

    /// A field of text.
    pub(crate) fn string(&self, name: &str) -> Result<Option<String>> {
        self.field(name).map(|field| field.text().map(str::to_owned)).transpose()
    }

    /// A list field of texts; empty when it is absent.
    pub(crate) fn strings(&self, name: &str) -> Result<Vec<String>> {
        self.list(name)?.iter().map(|item| item.text().map(str::to_owned)).collect()
    }

    /// A mapping field of texts; empty when it is absent.
    pub(crate) fn string_map(&self, name: &str) -> Result<Vec<(String, String)>> {
        let Some(field) = self.field(name) else { return Ok(Vec::new()) };
        field
            .map()?
            .iter()
            .map(|(key, value)| {
                let value = Reader::new(value, field.path.key(key));
                Ok((key.clone(), value.text()?.to_owned()))
            })
            .collect()
    }

    pub(crate) fn bool(&self, name: &str) -> Result<Option<bool>> {
        self.field(name)
            .map(|f| f.value.as_bool().ok_or_else(|| f.error("true or false is expected here")))
            .transpose()
    }

    /// Refuses fields other than these: a misspelt selector would match what nobody meant.
    pub(crate) fn only(&self, known: &[&str]) -> Result<()> {
        match self.map()?.keys().find(|key| !known.contains(&key.as_str())) {
            None => Ok(()),
            Some(key) => Err(CompileError {
                path: self.path.key(key),
                message: format!("unknown field {key:?}; known here are {}", known.join(", ")),
            }),
        }
    }
}
