use std::io::Write as _;

use flate2::write::GzEncoder;
use serde_json::json;

use super::message::unpacked;
use super::*;
use crate::model::{FieldPath, OWNER_LABEL};
use crate::render::testing::repo;
use crate::review::{self, Surroundings};

const KEY: &str = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEyQfmL5YwHbn9xrrgG3vgbU0KJxMY\n\
    BibYLJ5L4VSMvGxeMLnBGdM48w5IE//6idUPj3rscigFdHs7GDMH4LLAng==\n-----END PUBLIC KEY-----";
const OTHER: &str = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEE8uGVnyDWPPlB7M5KOHRzxzPHtAy\n\
    FdGxexVrR4YqO1pRViKxmD9oMu4I7K/4sM51nbH65ycB2uRiDfIdRoV/+A==\n-----END PUBLIC KEY-----\n";

/// A ConfigMap that was signed as a file in an archive.
fn config() -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"comment": "comment1", "key1": "val1", "key2": "val2"},
        "metadata": {"name": "sample-cm", "namespace": "sample-ns", "annotations": {
            "cosign.sigstore.dev/message": "H4sIAAAAAAAA/wD8AAP/H4sIAAAAAAAA/+zRu27DIBQGYGaeghdIOVzsNKydu1Vdq9MYW5Y54AKJmjx9leuYsVUlf8vPz2U4Qu4xyz6Fzuci41EqeJ7C19DpGj+BDNFHMGS/LQDAEOWb3Caasy9ljMOqYl4Nx2azMQBGyYI0B7/a0tMBKbC709vW2nOu2+acoC/9RDVrpqyGprXQasPAQKvWTAD7BbtSMTOAPO269OBeqdj3D86vs9zzn8B5fPe5jCk6sVd8GmPnxEuK/Ti84szJV+ywouNCRCTvxP2T+W1/8gflxB6DuhR9LpoLsU1EPlZ3Wyj+1+MuFovF4uonAAD//3weCWIACAAAAQAA//+Nc9ey/AAAAA==",
            "cosign.sigstore.dev/signature": "MEYCIQCTNFfObr0DiBCbDYEq0clxRw0FeoY35LhEiIFrGU7bZAIhAJR7AEYHIXkCPGlPIXA8ao0L99s3RWAjjzoxwcvOfmeT"}}})
}

/// A Service that two keys signed.
fn service() -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "test-service", "annotations": {
            "cosign.sigstore.dev/message": "H4sIAAAAAAAA/yyKzQrCQAwG7/sU3wsUFMGf3MSzUFC8h22QxXY3JKHg20sXb8PMsJaXmJdWCes+fUqdCA+xtWRJiwRPHEwJqLwIIcRj8H92lbwlbRa+wdCRcN4lAFBr0XKbCc/b2E2wvSXGPl0Op2MCXGbJ0Yz6wKqE+/eqmn4BAAD//3vEXUSaAAAA",
            "cosign.sigstore.dev/signature": "MEUCIQDpI/7Ncl8iJJ/Kc8JlL5FLbePZprMSRRjvXYlaybjU2wIgaPYh93JMerk2L+vTOwQ4pYlZ43Eq86QnQ8wuKPXmnWE=",
            "cosign.sigstore.dev/signature_1": "MEMCICxbOY2HKophxyUVxhBOAJo+kt+WYleDttBCVFrmA/7PAh8lgr5u3d2rFM8gSTBEYgzRzXIwAZEByrpq0SVRwqq7"}},
        "spec": {"ports": [{"port": 80, "protocol": "TCP", "targetPort": 9376}], "selector": {"app": "MyApp"}}})
}

fn compile(part: &Value) -> Manifests {
    let compiled = Manifests::compile(&Reader::new(part, FieldPath::default()));
    compiled.unwrap_or_else(|error| panic!("{}: {}", error.path, error.message))
}

fn by(keys: &[&str]) -> Value {
    let entries: Vec<Value> = keys.iter().map(|key| json!({"keys": {"publicKeys": key}})).collect();
    json!({"attestors": [{"entries": entries}]})
}

fn judge(part: &Value, object: &Value) -> (Verdict, String) {
    let judgement = compile(part).evaluate(object);
    (judgement.verdict, judgement.message)
}

#[test]
fn what_was_signed_and_not_changed_passes() {
    let (verdict, message) = judge(&by(&[KEY]), &config());
    assert_eq!(verdict, Verdict::Pass, "{message}");
    assert!(
        message
            .starts_with("verified manifest signatures; manifest verification succeeded; verifiedCount 1;")
    );
    let mut lived = config();
    lived["metadata"]["uid"] = "a".into();
    lived["metadata"]["managedFields"] = json!([{"manager": "x"}]);
    assert_eq!(judge(&by(&[KEY]), &lived).0, Verdict::Pass);
    let (verdict, message) = judge(&by(&[KEY, OTHER]), &service());
    assert_eq!(verdict, Verdict::Pass, "{message}");
    let mut nested = by(&[&format!("{OTHER}{KEY}")]);
    nested["attestors"][0]["entries"]
        .as_array_mut()
        .unwrap()
        .push(json!({"attestor": by(&[KEY])["attestors"][0]}));
    nested["attestors"][0]["count"] = 3.into();
    assert_eq!(
        judge(&nested, &service()).0,
        Verdict::Pass,
        "one entry for each key, and one that holds a set"
    );
}

#[test]
fn what_was_changed_fails_with_the_difference() {
    let mut changed = config();
    changed["data"]["key3"] = "val3".into();
    let (verdict, message) = judge(&by(&[KEY]), &changed);
    assert_eq!(verdict, Verdict::Fail);
    assert!(
        message.contains(".attestors[0].entries[0].keys: failed to verify signature. diff found;"),
        "{message}"
    );
    assert!(message.contains(r#"{"key":"data.key3","values":{"after":"val3","before":null}}"#), "{message}");
    let mut part = by(&[KEY]);
    part["ignoreFields"] = json!([{"objects": [{"kind": "ConfigMap"}], "fields": ["data.key3"]}]);
    assert_eq!(judge(&part, &changed).0, Verdict::Pass);
    part["ignoreFields"][0]["objects"] = json!([{"kind": "Secret"}]);
    assert_eq!(judge(&part, &changed).0, Verdict::Fail);
    let mut status = config();
    status["data"]["status"] = "x".into();
    assert_eq!(judge(&by(&[KEY]), &status).0, Verdict::Fail, "only the status of an object is ignored");
    changed["kind"] = "Secret".into();
    assert!(!judge(&by(&[KEY]), &changed).1.contains("val3"));
}

#[test]
fn what_a_repository_holds_is_judged_as_it_was_signed_although_moin_marks_it_as_its_own() {
    let policy = json!({"apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "metadata": {"name": "signed"},
        "spec": {"validationFailureAction": "Enforce", "rules": [{"name": "manifest",
            "match": {"any": [{"resources": {"kinds": ["ConfigMap"]}}]}, "validate": {"manifests": by(&[KEY])}}]}});
    let reviewed = |object: &Value| {
        let repo = repo().file("a.json", &object.to_string()).file("policy.json", &policy.to_string());
        let review = review::review(&repo.render(), &Surroundings::none());
        let said: Vec<String> = review.findings.iter().map(ToString::to_string).collect();
        let admitted = review.admitted.manifests().iter().find(|manifest| manifest.id.kind() == "ConfigMap");
        (said.join("\n"), admitted.map(|manifest| manifest.body.clone()))
    };
    let (said, admitted) = reviewed(&config());
    assert_eq!(said, "");
    assert_eq!(admitted.unwrap()["metadata"]["labels"][OWNER_LABEL], "moin");
    let mut changed = config();
    changed["metadata"]["labels"] = json!({"team": "a"});
    let (said, admitted) = reviewed(&changed);
    assert!(said.contains(r#"{"key":"metadata.labels.team","#) && !said.contains(OWNER_LABEL), "{said}");
    assert!(admitted.is_none());
}

#[test]
fn what_is_ignored_are_fields_and_not_names_with_dots() {
    let between = |object: &Value| {
        let ignored: Vec<&str> = difference::ignored("Pod").collect();
        let signed = json!({"kind": "Pod", "metadata": {"name": "a"}, "spec": {"a.b": 1}});
        let found = difference::between(&signed, object, &ignored).unwrap();
        found.iter().map(|entry| entry["key"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let pod = |annotations: Value, labels: Value, spec: Value| {
        json!({"kind": "Pod", "spec": spec,
        "metadata": {"name": "a", "annotations": annotations, "labels": labels}})
    };
    let spec =
        json!({"a.b": 1, "dnsPolicy": "ClusterFirst", "template": {"spec": {"dnsPolicy": "ClusterFirst"}}});
    let labels = json!({OWNER_LABEL: "moin", "app.kubernetes.io/instance": "a"});
    assert_eq!(between(&pod(json!({}), labels.clone(), spec.clone())), [""; 0]);
    assert_eq!(
        between(&pod(json!({"spec.dnsPolicy": "x"}), labels, spec)),
        ["metadata.annotations.spec.dnsPolicy"]
    );
    let suffixed = json!({format!("{OWNER_LABEL}-2"): "moin"});
    assert_eq!(
        between(&pod(json!({}), suffixed, json!({"a": {"b": 1}}))),
        ["metadata.labels.moin.scs.community/owner-2", "spec.a.b", "spec.a.b"]
    );
}

#[test]
fn nothing_is_read_that_nobody_signed_and_only_so_much_is_verified() {
    let packed = |text: &[u8]| {
        let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(text).unwrap();
        STANDARD.encode(gzip.finish().unwrap())
    };
    let mut object = config();
    let mut set = |name: &str, value: &str| {
        object["metadata"]["annotations"][format!("{DOMAIN}/{name}")] = value.into();
    };
    set("message", &packed(b"{ this is no YAML"));
    for at in 1..1000 {
        set(&format!("signature_{at}"), "MEUC");
    }
    let (verdict, message) = judge(&by(&[OTHER]), &object);
    assert_eq!(verdict, Verdict::Error);
    assert!(message.contains("signature 10 is not of this key; only the first 10 signatures"), "{message}");
    assert!(!message.contains("holds no manifests"), "{message}");
    object["metadata"]["annotations"][format!("{DOMAIN}/message")] = packed(&vec![b'a'; 8 << 20]).into();
    let (verdict, message) = judge(&by(&[OTHER, KEY]), &object);
    assert!(verdict == Verdict::Error && message.contains("than are verified"), "{message}");
    let many = "---\nkind: ConfigMap\n".repeat(101);
    assert!(message::manifests(many.as_bytes()).unwrap_err().contains("more than 100"));
    let wide: serde_json::Map<String, Value> = (0..70_000).map(|i| (i.to_string(), i.into())).collect();
    assert_eq!(difference::between(&json!({}), &wide.into(), &[]), None);
}

#[test]
fn what_nobody_signed_fails_and_what_another_signed_is_an_error() {
    let mut plain = config();
    plain["metadata"].as_object_mut().unwrap().remove("annotations");
    assert_eq!(judge(&by(&[KEY]), &plain).0, Verdict::Fail);
    let (verdict, message) = judge(&by(&[OTHER]), &config());
    assert!(verdict == Verdict::Error && message.contains(".attestors[0].entries[0].keys"), "{message}");
    let mut one = by(&[OTHER, KEY]);
    assert_eq!(judge(&one, &config()).0, Verdict::Error);
    one["attestors"][0]["count"] = 1.into();
    assert_eq!(judge(&one, &config()).0, Verdict::Pass);
    one["attestors"][0]["entries"][1]["annotations"] = json!({"team": "a"});
    assert!(judge(&one, &config()).1.contains("annotations mismatch"));
    let mut elsewhere = by(&[KEY]);
    elsewhere["annotationDomain"] = "example.com".into();
    assert_eq!(judge(&elsewhere, &config()).0, Verdict::Fail);
    let mut broken = config();
    broken["metadata"]["annotations"]["cosign.sigstore.dev/message"] = "H4sI".into();
    assert_eq!(judge(&by(&[KEY]), &broken).0, Verdict::Error);
}

#[test]
fn what_asks_somebody_is_not_evaluated_offline() {
    let part = json!({"attestors": [{"count": 1, "entries": [{"keyless": {"issuer": "i", "subject": "s"}}, {"keys": {"publicKeys": KEY}}]}]});
    assert_eq!(judge(&part, &config()).0, Verdict::Pass, "one is enough");
    let offline = |part: &Value| {
        let why = compile(part).unsupported(&Reader::new(part, FieldPath::default()));
        why.map(|error| error.message)
    };
    assert_eq!(offline(&part), None);
    for entry in [
        json!({"keyless": {}}),
        json!({"certificates": {"cert": "c"}}),
        json!({"keys": {"publicKeys": "k8s://a/b"}}),
    ] {
        let part = json!({"attestors": [{"entries": [entry]}]});
        assert!(offline(&part).unwrap().contains("not evaluated offline"));
        let (verdict, message) = judge(&part, &config());
        assert!(verdict == Verdict::Error && message.contains("not evaluated offline"), "{message}");
    }
    let mut changed = config();
    changed["data"]["key1"] = "x".into();
    let mut dry = by(&[KEY]);
    dry["dryRun"] = json!({"enable": true});
    assert_eq!(judge(&dry, &config()).0, Verdict::Pass);
    assert_eq!(judge(&dry, &changed).0, Verdict::Error);
}

#[test]
fn what_is_no_attestor_is_refused() {
    for (part, why) in [
        (json!({}), "attestors are missing"),
        (json!({"attestors": [{"entries": []}]}), "entries are missing"),
        (json!({"attestors": [{"entries": [{}]}]}), "one of keys"),
        (by(&["-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----"]), "no key of a kind"),
        (by(&["-----BEGIN PUBLIC KEY-----\nMFkw"]), "its end is missing"),
        (json!({"attestors": [{"count": 2, "entries": [{"keys": {"publicKeys": KEY}}]}]}), "from 1 up to"),
    ] {
        let error = Manifests::compile(&Reader::new(&part, FieldPath::default())).unwrap_err();
        assert!(error.message.contains(why), "{}", error.message);
    }
}

#[test]
fn broken_archives_are_told_from_whole_ones() {
    let whole = STANDARD.decode("H4sIAAAAAAAA/yyKzQrCQAwG7/sU3wsUFMGf3MSzUFC8h22QxXY3JKHg20sXb8PMsJaXmJdWCes+fUqdCA+xtWRJiwRPHEwJqLwIIcRj8H92lbwlbRa+wdCRcN4lAFBr0XKbCc/b2E2wvSXGPl0Op2MCXGbJ0Yz6wKqE+/eqmn4BAAD//3vEXUSaAAAA").unwrap();
    let text = unpacked(&whole).unwrap();
    assert!(text.starts_with(b"apiVersion: v1"));
    for end in 0..whole.len() {
        assert_eq!(unpacked(&whole[..end]), None, "{end}");
    }
    for at in 10..whole.len() {
        let mut other = whole.clone();
        other[at] ^= 0x55;
        // What it unpacks to is held against its checksum.
        assert!(unpacked(&other).is_none_or(|unpacked| unpacked == text), "{at}");
    }
}
