//! What policies about images ask a registry. Nothing is asked here: each call is an error that says so.

use crate::expr::cel::{Cost, EvalError, Row, Value, row};

const ASK: Cost = Cost::Fixed(100);

#[rustfmt::skip]
pub(super) const TABLE: &[Row] = &[
    row("verifyImageSignatures", "verify_image_signature_string_stringarray", "(string, list(dyn)) -> int", ASK, offline),
    row("verifyAttestationSignatures", "verify_image_attestations_string_string_stringarray", "(string, dyn, list(dyn)) -> int", ASK, offline),
    row("getImageData", "get_image_data_string", "(string) -> dyn", ASK, offline),
    row("extractPayload", "payload_string_string", "(string, dyn) -> dyn", ASK, offline),
];

fn offline<'a>(args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let image = args.first().and_then(Value::as_str).ok_or_else(EvalError::no_such_overload)?;
    Err(EvalError::not_looked_up(format!(
        "{image} is not evaluated offline: a registry would have to be asked"
    )))
}
