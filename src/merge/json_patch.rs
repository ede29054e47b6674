//! JSON patches (RFC 6902), as the library that the API server uses understands them.

use serde_json::Value;

/// How many objects and lists may stand in one another in an object that is stored. What is read back has a limit of
/// 128, and field managers, lists and events add a few of their own.
pub const DEEPEST: usize = 120;

/// How many bytes the copies of one patch may have together, as in the real server: each may double the object.
const COPIED: usize = 3 << 20;

/// Why a patch was not applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatchError {
    /// Not because it does not fit: one of its tests did not hold.
    pub test_failed: bool,
    why: String,
}

impl std::fmt::Display for PatchError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.why)
    }
}

/// The object after some operations; or why not, in the words of the library that the real server uses.
pub fn apply(object: &Value, operations: &[Operation]) -> Result<Value, PatchError> {
    let mut patched = object.clone();
    let mut copied = 0;
    for operation in operations {
        if operation.op == "copy" {
            copied += operation.copied(&mut patched);
            if copied > COPIED {
                let why = format!(
                    "Unable to complete the copy, the accumulated size increase of copy is {copied}, exceeding the limit {COPIED}"
                );
                return Err(PatchError { test_failed: false, why });
            }
        }
        if operation.apply(&mut patched).is_none() {
            return Err(PatchError {
                test_failed: operation.op == "test",
                why: operation.why_not(&mut patched),
            });
        }
    }
    Ok(patched)
}

/// One operation; what does not fit is `None`.
#[derive(Debug, serde::Deserialize)]
pub struct Operation {
    op: String,
    path: String,
    #[serde(default)]
    from: Option<String>,
    #[serde(default)]
    value: Option<Value>,
}

impl Operation {
    /// An operation of these parts.
    pub fn new(op: String, path: String, from: Option<String>, value: Option<Value>) -> Operation {
        Operation { op, path, from, value }
    }

    /// How many bytes it copies.
    fn copied(&self, document: &mut Value) -> usize {
        let value = self.from.as_deref().and_then(|from| get(document, from));
        value.map_or(0, |value| value.to_string().len())
    }

    /// Why it does not apply to a document.
    fn why_not(&self, document: &mut Value) -> String {
        const MISSING: &str = "missing value";
        let (op, path) = (&self.op, &self.path);
        let last = path.rsplit('/').next().unwrap_or_default();
        let contained = place(document, path).map(|(container, _)| container.is_array());
        match (op.as_str(), contained) {
            ("test", _) => format!("testing value {path} failed: test failed"),
            ("add" | "remove", None) => {
                format!("{op} operation does not apply: doc is missing path: \"{path}\": {MISSING}")
            }
            ("replace", None) => {
                format!("replace operation does not apply: doc is missing path: {path}: {MISSING}")
            }
            ("replace", Some(_)) => {
                format!("replace operation does not apply: doc is missing key: {path}: {MISSING}")
            }
            ("remove", Some(false)) => {
                format!(
                    "error in remove for path: '{path}': Unable to remove nonexistent key: {last}: {MISSING}"
                )
            }
            ("add" | "remove", Some(true)) => format!(
                "error in {op} for path: '{path}': Unable to access invalid index: {last}: invalid index referenced"
            ),
            ("move" | "copy", _) => {
                let from = self.from.as_deref().unwrap_or_default();
                format!("{op} operation does not apply: doc is missing from path: {from}: {MISSING}")
            }
            _ => format!("Unexpected kind: {op}"),
        }
    }

    fn apply(&self, document: &mut Value) -> Option<()> {
        let value = || self.value.clone().unwrap_or_default();
        match self.op.as_str() {
            "add" => add(document, &self.path, value()),
            "remove" => remove(document, &self.path).map(drop),
            "replace" => replace(document, &self.path, value()),
            "move" => {
                let moved = remove(document, self.from.as_deref()?)?;
                add(document, &self.path, moved)
            }
            "copy" => {
                let copied = get(document, self.from.as_deref()?)?;
                add(document, &self.path, copied)
            }
            "test" => (get(document, &self.path).unwrap_or_default() == value()).then_some(()),
            _ => None,
        }
    }
}

/// The container that a pointer's last token is looked up in, and that token.
fn place<'a>(document: &'a mut Value, pointer: &str) -> Option<(&'a mut Value, String)> {
    let (container, last) = pointer.rsplit_once('/')?;
    let mut at = document;
    for token in container.split('/').skip(1) {
        let token = unescaped(token);
        at = match at {
            Value::Object(map) => map.get_mut(&token)?,
            Value::Array(items) => {
                let index = index(&token, items.len())?;
                items.get_mut(index)?
            }
            _ => return None,
        };
    }
    Some((at, unescaped(last)))
}

fn unescaped(token: &str) -> String {
    token.replace("~1", "/").replace("~0", "~")
}

/// An index; `-1` is the last item of a list of this length.
fn index(token: &str, length: usize) -> Option<usize> {
    let index: i64 = token.parse().ok()?;
    let index = if index < 0 { index.checked_add(i64::try_from(length).ok()?)? } else { index };
    usize::try_from(index).ok()
}

fn get(document: &mut Value, pointer: &str) -> Option<Value> {
    match place(document, pointer)? {
        (Value::Object(map), key) => Some(map.get(&key).cloned().unwrap_or_default()),
        (Value::Array(items), key) => items.get(index(&key, items.len())?).cloned(),
        _ => None,
    }
}

fn add(document: &mut Value, pointer: &str, value: Value) -> Option<()> {
    if pointer.split('/').count() + depth(&value) > DEEPEST {
        return None;
    }
    match place(document, pointer)? {
        (Value::Object(map), key) => {
            map.insert(key, value);
        }
        (Value::Array(items), key) if key == "-" => items.push(value),
        (Value::Array(items), key) => {
            // A negative index counts from the end that the list will have.
            let index = index(&key, items.len() + 1).filter(|index| *index <= items.len())?;
            items.insert(index, value);
        }
        _ => return None,
    }
    Some(())
}

fn remove(document: &mut Value, pointer: &str) -> Option<Value> {
    match place(document, pointer)? {
        (Value::Object(map), key) => map.remove(&key),
        (Value::Array(items), key) => {
            let index = index(&key, items.len()).filter(|index| *index < items.len())?;
            Some(items.remove(index))
        }
        _ => None,
    }
}

fn replace(document: &mut Value, pointer: &str, value: Value) -> Option<()> {
    match place(document, pointer)? {
        (Value::Object(map), key) => {
            map.insert(key, value);
        }
        (Value::Array(items), key) => {
            let index = index(&key, items.len())?;
            *items.get_mut(index)? = value;
        }
        _ => return None,
    }
    Some(())
}

/// How many objects and lists stand in one another.
pub fn depth(value: &Value) -> usize {
    match value {
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}
