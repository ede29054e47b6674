//! ValidatingPolicies about requests of a proxy: `evaluation.mode: Envoy` and `HTTP`.
//!
//! Their validations make no truth but an answer to the request, or `null` where they have nothing to say. The first
//! answer counts.

mod envoy;
mod http;
mod jwk;
mod jwt;
mod mcp;
mod message;
mod read;
mod schema;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use serde_json::Value as Json;

use crate::expr::cel::{Bindings, Budget, Env, Fields, ObjectType, Program, Type, Value};

use super::super::reader::{Reader, Result};
use super::super::validate::{Judgement, Verdict};
use super::condition::{self, Condition, Met};
use super::library::{Library, PROXIES};
use read::Manner;

/// Who asks whether a request may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proxy {
    /// Envoy, by its external authorization.
    Envoy,
    /// Whoever sends the parts of an HTTP request.
    Http,
}

/// A request that a proxy asks about.
#[derive(Debug, Clone)]
pub struct ProxyRequest {
    proxy: Proxy,
    value: Value<'static>,
    /// Fields that nobody knows, and that are passed over.
    pub unknown: Vec<String>,
}

/// A policy about such requests.
#[derive(Debug, Clone)]
pub(crate) struct Authorization {
    proxy: Proxy,
    ignores_failures: bool,
    conditions: Vec<Condition>,
    variables: Vec<(String, Program)>,
    rules: Vec<Program>,
}

impl ProxyRequest {
    /// Reads one as it is written down for suites.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn read(proxy: Proxy, json: &Json) -> std::result::Result<ProxyRequest, String> {
        let manner = if proxy == Proxy::Envoy { Manner::Strict } else { Manner::Lenient };
        let mut reader = read::Reader { manner, unknown: Vec::new() };
        let mut value = reader.message(proxy.request(), json, "")?;
        if proxy == Proxy::Http && message::get(&value, "mcp").is_none_or(|mcp| !is_set(&mcp)) {
            let body =
                message::get(&value, "attributes").and_then(|attributes| message::get(&attributes, "body"));
            let Some(Value::Bytes(body)) = body else { return Err("the body is not bytes".to_owned()) };
            let request = mcp::of_body(&body);
            value = message::with(&value, "mcp", message::message(schema::HTTP_MCP, [("request", request)]));
        }
        Ok(ProxyRequest { proxy, value, unknown: reader.unknown })
    }
}

fn is_set(value: &Value<'_>) -> bool {
    matches!(value, Value::Struct(message) if !message.fields.is_empty())
}

impl Proxy {
    /// The one that an `evaluation.mode` means.
    pub(crate) fn of_mode(mode: &str) -> Option<Proxy> {
        match mode {
            "Envoy" => Some(Proxy::Envoy),
            "HTTP" => Some(Proxy::Http),
            _ => None,
        }
    }

    fn request(self) -> &'static str {
        match self {
            Proxy::Envoy => schema::CHECK_REQUEST,
            Proxy::Http => schema::HTTP_REQUEST,
        }
    }

    fn response(self) -> &'static str {
        match self {
            Proxy::Envoy => schema::CHECK_RESPONSE,
            Proxy::Http => schema::HTTP_RESPONSE,
        }
    }

    /// What expressions may use, but for the policy's variables.
    fn env(self) -> Env {
        static ENVOY: LazyLock<Env> = LazyLock::new(|| environment(Proxy::Envoy, &[envoy::TABLE]));
        static HTTP: LazyLock<Env> = LazyLock::new(|| environment(Proxy::Http, &[http::TABLE]));
        match self {
            Proxy::Envoy => ENVOY.clone(),
            Proxy::Http => HTTP.clone(),
        }
    }
}

fn environment(proxy: Proxy, own: &[&[crate::expr::cel::Row]]) -> Env {
    let opaque = |name: &str| Type::Opaque(name.into(), [].into());
    let of_proxy = |name: &str| match proxy {
        Proxy::Envoy => !name.starts_with("http."),
        Proxy::Http => !name.starts_with("envoy.") && !name.starts_with("google."),
    };
    let request = message::find(proxy.request()).map_or(Type::Dyn, |m| Type::Object(message::object_type(m)));
    let mut env = PROXIES.with_tables(&[jwt::TABLE, mcp::TABLE]).with_tables(own).with_variables([
        ("object", request),
        ("jwt", opaque(jwt::TOKENS)),
        ("jwks", opaque(jwt::KEYS)),
        ("mcp", opaque(mcp::LIBRARY)),
    ]);
    env = env.with_variables(mcp::constants().map(|(name, _)| (name, Type::String)));
    for message in schema::MESSAGES.iter().filter(|message| of_proxy(message.name)) {
        env = env.with_type(message::object_type(message));
    }
    env
}

/// With the variables that are known so far.
fn declared(env: &Env, known: &BTreeMap<Arc<str>, Type>) -> Env {
    let ty = ObjectType::new("kyverno.variables", Fields::Named(known.clone()));
    env.with_variable("variables", Type::Object(ty))
}

impl Authorization {
    /// Of a policy's `spec`.
    pub(crate) fn compile(proxy: Proxy, spec: &Reader<'_>) -> Result<Authorization> {
        let base = proxy.env();
        let mut known = BTreeMap::new();
        let compile = |env: &Env, entry: &Reader<'_>| -> Result<Program> {
            let text = super::expression(entry)?;
            env.compile(text.text()?).map_err(|error| text.error(error.summary))
        };
        let mut env = declared(&base, &known);
        let condition = |entry: &Reader<'_>| match compile(&env, entry)? {
            program if *program.output() == Type::Bool => Ok(Condition::of(program)),
            program => Err(entry.error(format!("must evaluate to bool but got {}", program.output()))),
        };
        let conditions = spec.list("matchConditions")?.iter().map(condition).collect::<Result<_>>()?;
        let mut variables = Vec::new();
        for variable in spec.list("variables")? {
            let name = variable.string("name")?.ok_or_else(|| variable.error("name is missing"))?;
            let program = compile(&env, &variable)?;
            known.insert(name.as_str().into(), program.output().clone());
            env = declared(&base, &known);
            variables.push((name, program));
        }
        let rule = |entry: &Reader<'_>| {
            let program = compile(&env, entry)?;
            let fits = match program.output() {
                Type::Null => true,
                Type::Object(ty) => **ty.name() == *proxy.response(),
                _ => false,
            };
            let wrong =
                || format!("must evaluate to {} or null but got {}", proxy.response(), program.output());
            if fits { Ok(program) } else { Err(super::expression(entry)?.error(wrong())) }
        };
        let entries = spec.list("validations")?;
        if entries.is_empty() {
            return Err(spec.error("validations are missing"));
        }
        let ignores_failures = match spec.string("failurePolicy")?.as_deref() {
            None | Some("Fail") => false,
            Some("Ignore") => true,
            Some(_) => return Err(spec.error("failurePolicy is Fail or Ignore")),
        };
        let rules = entries.iter().map(rule).collect::<Result<_>>()?;
        Ok(Authorization { proxy, ignores_failures, conditions, variables, rules })
    }

    /// Judges a request; `None` if it is of another proxy.
    pub(crate) fn judge(
        &self,
        request: &ProxyRequest,
        library: &Library,
        namespace: Option<&str>,
    ) -> Option<Judgement> {
        if request.proxy != self.proxy {
            return None;
        }
        let mut bindings = Bindings::new().with("object", request.value.clone());
        library.bind(&mut bindings, namespace);
        bindings.set("jwt", Value::opaque(jwt::Tokens { now: library.now() }));
        bindings.set("jwks", Value::opaque(jwt::Keys(library.shared())));
        bindings.set("mcp", Value::opaque(mcp::Mcp));
        for (name, value) in mcp::constants() {
            bindings.set(name, Value::text(value));
        }
        for (name, program) in &self.variables {
            bindings.define("variables", name, program);
        }
        Some(match self.answer(&bindings) {
            Ok(Some(answer)) => self.judgement(&answer),
            Err(why) if !self.ignores_failures => Judgement::new(Verdict::Error, why),
            Ok(None) | Err(_) => Judgement::new(Verdict::Skip, "request does not match"),
        })
    }

    /// The first answer, if its conditions are met.
    fn answer<'a>(&'a self, bindings: &Bindings<'a>) -> std::result::Result<Option<Value<'a>>, String> {
        let mut budget = Budget::kubernetes();
        match condition::met(&self.conditions, bindings, &mut budget, false) {
            Met::Yes => {}
            Met::No => return Ok(None),
            Met::Error(why) => return Err(why),
        }
        for rule in &self.rules {
            match rule.run(bindings, &mut budget) {
                Ok(Value::Null) => {}
                Ok(answer) => return Ok(Some(answer)),
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(None)
    }

    fn judgement(&self, answer: &Value<'_>) -> Judgement {
        let Value::Struct(response) = answer else {
            return Judgement::new(Verdict::Error, format!("the answer is {}", answer.type_name()));
        };
        let part = |name: &str| response.fields.get(name);
        match self.proxy {
            Proxy::Envoy => {
                if part("ok_response").is_some() {
                    return Judgement::new(Verdict::Pass, "request allowed");
                }
                let code = part("denied_response").map(|denied| {
                    let status = message::get(denied, "status");
                    match status.and_then(|status| message::get(&status, "code")) {
                        Some(Value::Int(code)) => code,
                        _ => 0,
                    }
                });
                if let Some(code) = code {
                    return Judgement::new(Verdict::Fail, format!("request denied with status code {code}"));
                }
            }
            Proxy::Http => {
                if part("ok").is_some() {
                    return Judgement::new(Verdict::Pass, "request allowed");
                }
                if let Some(denied) = part("denied") {
                    let reason = message::get(denied, "reason");
                    let reason = reason.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
                    return Judgement::new(Verdict::Fail, format!("request denied, reason: {reason}"));
                }
            }
        }
        Judgement::new(Verdict::Error, "the answer neither allows nor denies the request")
    }
}
