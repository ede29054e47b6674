//! JSON patch and JSON merge patch.

use serde_json::Value;

use super::status::Failure;

/// The object after an RFC 6902 patch, as the library that the real server uses understands it.
pub(crate) fn json_patch(object: &Value, patch: &[u8]) -> Result<Value, Failure> {
    let patch: json_patch::Patch = serde_json::from_slice(patch)
        .map_err(|error| Failure::bad_request(format!("error decoding patch: {error}")))?;
    if patch.len() > 10_000 {
        let message = format!("The allowed maximum operations in a JSON patch is 10000, got {}", patch.len());
        return Err(Failure::new(413, "RequestEntityTooLarge", message));
    }
    let mut patched = object.clone();
    json_patch::patch(&mut patched, &patch).map_err(|_| Failure::unprocessable())?;
    Ok(patched)
}

/// The object after an RFC 7386 patch.
pub(crate) fn merge_patch(object: &Value, patch: &[u8]) -> Result<Value, Failure> {
    let patch: Value = serde_json::from_slice(patch)
        .map_err(|error| Failure::bad_request(format!("error decoding patch: {error}")))?;
    if !patch.is_object() {
        return Err(Failure::bad_request("error decoding patch: a merge patch is an object"));
    }
    let mut patched = object.clone();
    json_patch::merge(&mut patched, &patch);
    Ok(patched)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_patch_that_does_not_fit_says_no_more_than_that() {
        let object = json!({"a": {"b": 1}});
        let failure = json_patch(&object, br#"[{"op": "remove", "path": "/x"}]"#).unwrap_err();
        assert_eq!((failure.code, failure.details), (422, Some(json!({}))));
        assert_eq!(json_patch(&object, br#"{"op": "x"}"#).unwrap_err().code, 400);
        assert_eq!(merge_patch(&object, br#"{"a": {"b": null, "c": 2}}"#).unwrap(), json!({"a": {"c": 2}}));
    }
}
