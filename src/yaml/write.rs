//! Writing YAML as `kubectl -o yaml` does.
use serde_json::Value;
/// The value as YAML.
pub fn write(value: &Value) -> String {
    value.to_string()
}
