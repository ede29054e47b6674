use serde_json::json;

use super::*;
use crate::model::FieldPath;

const NOW: i128 = 1_700_000_000_000_000_000;

fn judge(proxy: Proxy, spec: Json, request: &Json) -> Judgement {
    let policy = Authorization::compile(proxy, &Reader::new(&spec, FieldPath::default()));
    let policy = policy.unwrap_or_else(|error| panic!("{}: {}", error.path, error.message));
    let request = ProxyRequest::read(proxy, request).unwrap();
    policy.judge(&request, &Library::new(None, NOW, 0), None).unwrap()
}

fn first(proxy: Proxy, expression: &str, request: &Json) -> (Verdict, String) {
    let judgement = judge(proxy, json!({"validations": [{"expression": expression}]}), request);
    (judgement.verdict, judgement.message)
}

fn refused(proxy: Proxy, spec: Json) -> String {
    Authorization::compile(proxy, &Reader::new(&spec, FieldPath::default())).unwrap_err().message
}

fn envoy_request() -> Json {
    json!({"attributes": {
        "source": {"address": {"socketAddress": {"address": "10.0.0.1", "portValue": 80}}, "principal": "spiffe://a"},
        "request": {"time": "2026-01-01T00:00:00Z", "http": {"method": "GET", "path": "/a?b=c", "headers": {"x-a": "1"}, "size": "12"}},
        "metadataContext": {"filter_metadata": {"f": {"n": 1}}}}})
}

/// What an expression about a request of Envoy comes to.
fn holds(expression: &str) -> bool {
    let expression = format!("({expression}) ? envoy.Allowed().Response() : null");
    match first(Proxy::Envoy, &expression, &envoy_request()) {
        (Verdict::Pass, _) => true,
        (Verdict::Skip, _) => false,
        other => panic!("{expression}: {other:?}"),
    }
}

#[test]
fn a_request_of_envoy_has_all_its_fields() {
    for expression in [
        "object.attributes.request.http.path.startsWith('/a')",
        "object.attributes.request.http.host == '' && !has(object.attributes.request.http.host)",
        "object.attributes.request.http.size == 12",
        "object.attributes.source.address.socket_address.port_value == 80u",
        "object.attributes.destination.address.socket_address.address == ''",
        "!has(object.attributes.destination) && has(object.attributes.source)",
        "object.attributes.request.http.headers[?'x-b'].orValue('none') == 'none'",
        "object.attributes.?destination.hasValue() == false",
        "object.attributes.request.time == timestamp('2026-01-01T00:00:00Z')",
        "object.attributes.metadata_context.filter_metadata.f.n == 1.0",
        "type(object) == envoy.service.auth.v3.CheckRequest",
    ] {
        assert!(holds(expression), "{expression}");
    }
    assert!(
        refused(Proxy::Envoy, json!({"validations": [{"expression": "object.atributes.x == 1"}]}))
            .contains("undefined field")
    );
}

#[test]
fn answers_are_put_together() {
    for expression in [
        "envoy.Allowed().WithHeader('a', 'b').WithHeader(envoy.Header('c', '').KeepEmptyValue()).WithoutHeader('d').headers.map(h, h.header.key) == ['a', 'c']",
        "envoy.Allowed().WithHeader(envoy.Header('c', '').KeepEmptyValue(false)).headers[0].keep_empty_value == false",
        "envoy.Allowed().WithResponseHeader('a', 'b').WithQueryParam('p', 'q').WithQueryParam(envoy.QueryParam('r', 's')).WithoutQueryParam('t').query_parameters_to_set[1].value == 's'",
        "envoy.Denied(401).WithBody('no').WithHeader('a', 'b').Response().denied_response.body == 'no'",
        "envoy.Denied(401).Response().status.code == 7 && envoy.Allowed().Response().status.code == 0",
        "envoy.Allowed().Response().WithMessage('m').WithMetadata({'a': {'b': 1}}).status.message == 'm'",
        "envoy.Allowed().Response().WithMetadata({'a': 1}).dynamic_metadata == {'a': 1.0}",
        "envoy.service.auth.v3.DeniedHttpResponse{body: ''} == envoy.service.auth.v3.DeniedHttpResponse{}",
        "envoy.service.auth.v3.DeniedHttpResponse{status: envoy.type.v3.HttpStatus{code: 403}} == envoy.Denied(403)",
    ] {
        assert!(holds(expression), "{expression}");
    }
}

#[test]
fn the_first_answer_counts() {
    let rules = |failure: &str, texts: &[&str]| {
        let rules: Vec<Json> = texts.iter().map(|text| json!({"expression": text})).collect();
        let judgement =
            judge(Proxy::Envoy, json!({"failurePolicy": failure, "validations": rules}), &envoy_request());
        (judgement.verdict, judgement.message)
    };
    let (deny, allow, fails) = (
        "envoy.Denied(403).Response()",
        "envoy.Allowed().Response()",
        "[0][1] == 1 ? envoy.Denied(1).Response() : null",
    );
    let denied = || (Verdict::Fail, "request denied with status code 403".to_owned());
    assert_eq!(rules("Fail", &["null", deny, allow]), denied());
    assert_eq!(rules("Fail", &[allow, fails]).0, Verdict::Pass);
    assert_eq!(rules("Fail", &[fails, allow]).0, Verdict::Error);
    assert_eq!(rules("Ignore", &[fails, allow]), (Verdict::Skip, "request does not match".to_owned()));
    assert_eq!(rules("Fail", &["null"]).0, Verdict::Skip);
    assert_eq!(rules("Fail", &["envoy.service.auth.v3.CheckResponse{}"]).0, Verdict::Error);
    let spec = json!({"matchConditions": [{"name": "a", "expression": "object.attributes.request.http.method == 'POST'"}],
        "validations": [{"expression": deny}]});
    assert_eq!(judge(Proxy::Envoy, spec, &envoy_request()).verdict, Verdict::Skip);
}

#[test]
fn what_is_no_answer_is_refused() {
    for (proxy, expression) in [
        (Proxy::Envoy, "true"),
        (Proxy::Envoy, "envoy.Denied(403)"),
        (Proxy::Envoy, "http.Allowed().Response()"),
        (Proxy::Http, "envoy.Denied(403).Response()"),
        (Proxy::Http, "dyn(1)"),
    ] {
        let why = refused(proxy, json!({"validations": [{"expression": expression}]}));
        assert!(why.contains("must evaluate to") || why.contains("undeclared"), "{expression}: {why}");
    }
    let condition = json!({"matchConditions": [{"name": "a", "expression": "variables.a"}],
        "variables": [{"name": "a", "expression": "true"}], "validations": [{"expression": "null"}]});
    assert!(refused(Proxy::Http, condition).contains("undefined field"));
    assert!(refused(Proxy::Http, json!({})).contains("validations are missing"));
}

#[test]
fn requests_are_read_as_their_services_read_them() {
    for (json, why) in [
        (json!({"atributes": {}}), "unknown field"),
        (
            json!({"attributes": {"request": {"http": {"headers": {"a": 1}}}}}),
            "attributes.request.http.headers.a: text",
        ),
        (
            json!({"attributes": {"source": {"address": {"pipe": {}, "socketAddress": {}}}}}),
            "cannot both be set",
        ),
        (json!({"attributes": {"request": {"time": "yesterday"}}}), "a time is expected"),
    ] {
        let error = ProxyRequest::read(Proxy::Envoy, &json).unwrap_err();
        assert!(error.contains(why), "{error}");
    }
    let request = json!({"Attributes": {"METHOD": "GET", "headers": {"a": ["b"]}}});
    assert_eq!(ProxyRequest::read(Proxy::Http, &request).unwrap().unknown, ["Attributes.headers"]);
    assert!(ProxyRequest::read(Proxy::Http, &json!({"attributes": {"method": 1}})).is_err());
}

#[test]
fn an_http_request_is_authorised() {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "echo", "arguments": {"text": "x", "n": 3, "list": ["a", 1], "yes": "true"}}});
    use base64::Engine as _;
    let body = base64::engine::general_purpose::STANDARD.encode(body.to_string());
    let request = json!({"attributes": {"method": "GET", "path": "/a", "header": {"Content-Type": ["j", "k"]},
        "query": {"q": ["1"]}, "body": body, "contentLength": 12}});
    for expression in [
        "object.attributes.Header('content-type') == ['j', 'k'] && object.attributes.Header('x') == []",
        "object.attributes.QueryParam('q') == ['1'] && object.attributes.QueryParam('Q') == []",
        "object.attributes.contentLength == 12 && object.attributes.scheme == ''",
        "object.mcp.request.Method == mcp.ToolsCallMethod && object.mcp.request.GetStringArgument('text', '') == 'x'",
        "mcp.Parse(string(object.attributes.body)).ToolCall.Name == 'echo'",
        "mcp.Parse(string(object.attributes.body)).GetIntArgument('n', 0) == 3",
        "mcp.Parse(string(object.attributes.body)).GetStringSliceArgument('list', []) == ['a']",
        "mcp.Parse(string(object.attributes.body)).GetBoolArgument('yes', false) && object.mcp.request.GetFloatArgument('z', 1.5) == 1.5",
        "json.Unmarshal(string(object.attributes.body)).id == 1",
        "http.Denied('why').Response().denied.reason == 'why'",
    ] {
        let text = format!("({expression}) ? http.Allowed().Response() : null");
        assert_eq!(first(Proxy::Http, &text, &request).0, Verdict::Pass, "{expression}");
    }
    let denied = first(Proxy::Http, "http.Denied('why').Response()", &request);
    assert_eq!(denied, (Verdict::Fail, "request denied, reason: why".to_owned()));
    let plain =
        first(Proxy::Http, "object.mcp.request.Method == '' ? http.Allowed().Response() : null", &json!({}));
    assert_eq!(plain.0, Verdict::Pass);
}

/// A token of a secret.
fn token(header: Json, claims: Json, secret: &str) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
    let content = format!("{}.{}", B64.encode(header.to_string()), B64.encode(claims.to_string()));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA512, secret.as_bytes());
    format!("{content}.{}", B64.encode(ring::hmac::sign(&key, content.as_bytes())))
}

#[test]
fn tokens_are_verified() {
    let ask = |token: &str, expression: &str| {
        let text = format!("jwt.Decode('{token}', 'secret').with{expression}");
        let text = text.replace(".with", "");
        first(Proxy::Http, &format!("{text} ? http.Allowed().Response() : null"), &json!({}))
    };
    let header = || json!({"alg": "HS512"});
    let now = (NOW / 1_000_000_000) as i64;
    let good =
        token(header(), json!({"role": "admin", "exp": now + 1, "nbf": now, "aud": "a", "n": 1}), "secret");
    for expression in [
        ".Valid",
        ".Claims.role == 'admin'",
        ".Claims.?nothing.orValue('') == ''",
        ".Claims.aud == ['a']",
        ".Claims.n == 1.0",
    ] {
        assert_eq!(ask(&good, expression).0, Verdict::Pass, "{expression}");
    }
    for (field, at) in [("exp", now), ("nbf", now + 1), ("iat", now + 1)] {
        let late = token(header(), json!({field: at}), "secret");
        assert_eq!(ask(&late, ".Valid").0, Verdict::Skip, "{field}");
    }
    for (bad, why) in [
        (token(header(), json!({}), "other"), "could not verify"),
        (token(json!({"alg": "none"}), json!({}), "secret"), "does not make signatures"),
        (token(json!({"alg": "HS512", "kid": "k"}), json!({}), "secret"), "failed to find key"),
        ("a.b".to_owned(), "three parts"),
    ] {
        let (verdict, message) = ask(&bad, ".Valid");
        assert!(verdict == Verdict::Error && message.contains(why), "{message}");
    }
    let fetched = first(
        Proxy::Http,
        &format!("jwt.Decode('{good}', jwks.Fetch('https://keys')).Valid ? http.Allowed().Response() : null"),
        &json!({}),
    );
    assert!(fetched.1.contains("is not asked"), "{fetched:?}");
}

#[test]
fn keys_come_as_documents() {
    let rng = ring::rand::SystemRandom::new();
    let algorithm = &ring::signature::ECDSA_P256_SHA256_FIXED_SIGNING;
    let made = ring::signature::EcdsaKeyPair::generate_pkcs8(algorithm, &rng).unwrap();
    let pair = ring::signature::EcdsaKeyPair::from_pkcs8(algorithm, made.as_ref(), &rng).unwrap();
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
    use ring::signature::KeyPair as _;
    let point = pair.public_key().as_ref();
    let key = json!({"kty": "EC", "crv": "P-256", "kid": "k", "x": B64.encode(&point[1..33]), "y": B64.encode(&point[33..])});
    let content =
        format!("{}.{}", B64.encode(json!({"alg": "ES256", "kid": "k"}).to_string()), B64.encode("{}"));
    let signature = pair.sign(&rng, content.as_bytes()).unwrap();
    let token = format!("{content}.{}", B64.encode(signature.as_ref()));
    let mut known = crate::policy::Objects::default();
    known.add_response("GET", "https://keys", json!({"statusCode": 200, "body": {"keys": [key]}}));
    let expression =
        format!("jwt.Decode('{token}', jwks.Fetch('https://keys')).Valid ? http.Allowed().Response() : null");
    let spec = json!({"validations": [{"expression": expression}]});
    let policy = Authorization::compile(Proxy::Http, &Reader::new(&spec, FieldPath::default())).unwrap();
    let request = ProxyRequest::read(Proxy::Http, &json!({})).unwrap();
    let judged = policy.judge(&request, &Library::new(Some(Arc::new(known)), NOW, 0), None).unwrap();
    assert_eq!(judged.verdict, Verdict::Pass, "{}", judged.message);
}
