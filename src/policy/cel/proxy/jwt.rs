//! `jwt` and `jwks`: signed tokens, and the keys for them.

use std::any::Any;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value as Json};

use crate::expr::cel::{Cost, EvalError, Opaque, Row, Value, row};

use super::jwk::{KeySet, Signed};
use super::message::message;
use super::read::free;
use super::schema::TOKEN;
use crate::policy::objects::Objects;

pub(super) const TOKENS: &str = "jwt.Library";
pub(super) const KEYS: &str = "jwks.Library";
const KEY_SET: &str = "jwk.Set";

const VERIFY: Cost = Cost::Fixed(100);

type Answer<'a> = Result<Value<'a>, EvalError>;

#[rustfmt::skip]
pub(super) const TABLE: &[Row] = &[
    row("Decode", "decode_string_string", "jwt.Library().(string, string) -> jwt.Token", VERIFY, decode),
    row("Decode", "decode_string_set", "jwt.Library().(string, jwk.Set()) -> jwt.Token", VERIFY, decode),
    row("Fetch", "fetch_string", "jwks.Library().(string) -> jwk.Set()", VERIFY, fetch),
];

/// What `jwt` is: it knows the time.
#[derive(Debug)]
pub(super) struct Tokens {
    /// Nanoseconds since 1970.
    pub(super) now: i128,
}

/// What `jwks` is.
#[derive(Debug)]
pub(super) struct Keys(pub(super) Option<Arc<Objects<'static>>>);

macro_rules! opaque {
    ($ty:ty, $name:expr, $equals:expr) => {
        impl Opaque for $ty {
            fn type_name(&self) -> &str {
                $name
            }

            fn as_any(&self) -> &dyn Any {
                self
            }

            fn equals(&self, other: &dyn Opaque) -> bool {
                let equals: fn(&$ty, &$ty) -> bool = $equals;
                other.as_any().downcast_ref::<$ty>().is_some_and(|other| equals(self, other))
            }
        }
    };
}

opaque!(Tokens, TOKENS, |_, _| true);
opaque!(Keys, KEYS, |_, _| true);
opaque!(KeySet, KEY_SET, |a, b| a == b);

fn decode<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let [library, Value::String(token), key] = args else { return Err(EvalError::no_such_overload()) };
    let library = library.downcast::<Tokens>().ok_or_else(EvalError::no_such_overload)?;
    let failed = |why: String| EvalError::new(format!("failed to parse token: {why}"));
    let claims = match (key, key.downcast::<KeySet>()) {
        (_, Some(keys)) => claims(token, keys),
        (Value::String(secret), _) => KeySet::of_secret(secret).and_then(|keys| claims(token, &keys)),
        _ => return Err(EvalError::no_such_overload()),
    };
    let claims = claims.map_err(failed)?;
    let seconds = i64::try_from(library.now.div_euclid(1_000_000_000)).unwrap_or(i64::MAX);
    let valid = is_valid(&claims, seconds);
    let fields = [("Claims", free(&Json::Object(claims))), ("Valid", Value::Bool(valid))];
    Ok(message(TOKEN, fields))
}

/// The claims of a token whose signature holds.
fn claims(token: &str, keys: &KeySet) -> Result<Map<String, Json>, String> {
    let token = token.trim();
    let (content, signature) = token.rsplit_once('.').ok_or("it has not three parts")?;
    let (header, payload) = content.split_once('.').ok_or("it has not three parts")?;
    let bytes =
        |part: &str, what: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| format!("its {what} is no base64"));
    let object = |part: &str, what: &str| match serde_json::from_slice(&bytes(part, what)?) {
        Ok(Json::Object(map)) => Ok(map),
        _ => Err(format!("its {what} is no JSON object")),
    };
    let header = object(header, "header")?;
    let text = |field: &str| header.get(field).and_then(Json::as_str);
    let signature = bytes(signature, "signature")?;
    keys.verify(&Signed {
        key_id: text("kid"),
        algorithm: text("alg").unwrap_or_default(),
        content: content.as_bytes(),
        signature: &signature,
    })?;
    let mut claims = object(payload, "payload")?;
    for time in ["exp", "nbf", "iat"] {
        if let Some(claim) = claims.get_mut(time) {
            *claim = seconds(claim).ok_or_else(|| format!("its {time} is no time"))?.into();
        }
    }
    // An audience is a list, if only of one.
    if let Some(audience) = claims.get_mut("aud").filter(|audience| audience.is_string()) {
        *audience = Json::Array(vec![audience.take()]);
    }
    Ok(claims)
}

/// Seconds since 1970, which are also written as text.
fn seconds(claim: &Json) -> Option<i64> {
    let seconds = match claim {
        Json::String(text) => text.parse().ok()?,
        number => number.as_f64()?,
    };
    (seconds.abs() < 1e15).then_some(seconds.floor() as i64)
}

/// Whether it was issued, is valid already, and is so still.
fn is_valid(claims: &Map<String, Json>, now: i64) -> bool {
    let time = |name: &str| claims.get(name).and_then(Json::as_i64);
    time("exp").is_none_or(|at| now < at)
        && ["nbf", "iat"].iter().all(|name| time(name).is_none_or(|at| now >= at))
}

/// A key set; asked is not the network but what is known of answers.
fn fetch<'a>(args: &[Value<'a>]) -> Answer<'a> {
    let [library, Value::String(url)] = args else { return Err(EvalError::no_such_overload()) };
    let known = library.downcast::<Keys>().ok_or_else(EvalError::no_such_overload)?;
    let not_asked = || format!("GET {} is not asked while policies are evaluated here", &**url);
    let Some(known) = &known.0 else { return Err(EvalError::not_looked_up(not_asked())) };
    let response = known.response("GET", url).ok_or_else(|| EvalError::new(not_asked()))?;
    let body = response.get("body").unwrap_or(response);
    let parsed = body.as_str().and_then(|text| serde_json::from_str(text).ok());
    let keys = KeySet::of_json(parsed.as_ref().unwrap_or(body));
    keys.map(Value::opaque).map_err(|why| EvalError::new(format!("failed to fetch {}: {why}", &**url)))
}
